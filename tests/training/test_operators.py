"""Operators of ours, in PyTorch; `test_embedding.py` compares them with the graph."""

import torch

from training.operators import dots


def test_products_of_whole_numbers_are_exact():
    random = torch.Generator().manual_seed(0)
    coarse = torch.randint(-127, 128, (5, 100), generator=random)
    table = torch.randint(-127, 128, (40, 100), generator=random)
    found = dots(coarse.float(), table.to(torch.int8))
    assert torch.equal(found.long(), coarse @ table.T)


def test_its_shape_is_known_without_computing():
    torch.library.opcheck(dots, (torch.ones(2, 3), torch.ones(4, 3, dtype=torch.int8)))
