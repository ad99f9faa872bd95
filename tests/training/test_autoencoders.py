"""Networks with an encoder and a decoder."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from training import autoencoders
from training.autoencoders import Decoder, Deployed, Unet, noised

SHAPE = (1, 28, 28)


def made(kind):
    torch.manual_seed(0)
    if kind == "variational":
        return autoencoders.variational(SHAPE, (20,), 6, warm_up=4.0)
    if kind == "convolutional":
        return autoencoders.convolutional(SHAPE, 4, (20,), 6)
    return autoencoders.dense(SHAPE, (20,), 6)


@pytest.mark.parametrize("kind", ["dense", "convolutional", "variational"])
def test_codes_and_pictures_have_their_shapes(kind):
    network = made(kind).eval()
    pictures = torch.rand(3, *SHAPE)
    raw, code, *_ = network(pictures)
    assert (raw.shape, code.shape) == ((3, *SHAPE), (3, 6))
    again = network.decode(code)
    assert (again.shape, bool((again >= 0).all() and (again <= 1).all())) == ((3, *SHAPE), True)


@pytest.mark.parametrize("size", [(1, 28, 28), (3, 21, 30)])
def test_pictures_of_any_size_keep_it(size):
    assert Unet(size[0], 4)(torch.rand(2, *size))[0].shape == (2, *size)
    assert autoencoders.convolutional(size, 4, (), 6)(torch.rand(2, *size))[0].shape == (2, *size)


def test_the_divergence_is_that_of_the_books_and_grows_to_its_weight():
    network = made("variational")
    pictures = torch.rand(5, *SHAPE)
    mean, log_variance = (part.detach() for part in network.distribution(pictures))
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    whole = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)
    shares = [(network(pictures)[2] / whole).mean().item() for _ in range(6)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1], abs=1e-4)
    torch.testing.assert_close(network.eval()(pictures)[2].detach(), whole)


def test_a_sample_is_made_of_the_noise_that_is_sent():
    network = made("variational").eval()
    image = torch.randint(0, 256, (4, 28, 28, 1), dtype=torch.uint8)
    deployed = Deployed(network)
    nothing, some = torch.zeros(4, 6), torch.randn(4, 6)
    mean, log_variance = network.distribution(autoencoders.scaled(image))
    torch.testing.assert_close(deployed(image, nothing)[1], mean)
    torch.testing.assert_close(deployed(image, some)[1], mean + some * (0.5 * log_variance).exp())
    assert torch.equal(deployed(image, some)[0], deployed(image, some)[0])


def test_raw_pixels_come_back_with_codes_and_errors():
    network = made("dense").eval()
    image = torch.randint(0, 256, (4, 28, 28, 1), dtype=torch.uint8)
    reconstruction, code, error = Deployed(network)(image)
    assert (reconstruction.shape, code.shape, error.shape) == (image.shape, (4, 6), (4, 1))
    wanted = ((reconstruction - image.float()) / 255).square().flatten(1).mean(1, keepdim=True)
    torch.testing.assert_close(error, wanted)
    torch.testing.assert_close(Decoder(network)(code), reconstruction)


def test_linear_layers_and_squared_errors_find_the_principal_components():
    """Baldi and Hornik 1989: the same subspace and the same error."""
    random = np.random.default_rng(0)
    scales = np.array([3.0, 2.5, 2.0] + [0.5] * 13)
    rows = (random.normal(size=(2000, 16)) * scales) @ np.linalg.qr(random.normal(size=(16, 16)))[0]
    rows = (rows - rows.mean(0)).astype(np.float32)
    torch.manual_seed(0)
    network = autoencoders.dense((1, 4, 4), (), 3, linear=True)
    pictures = torch.from_numpy(rows).view(-1, 1, 4, 4)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    for step in range(1500):
        if step == 1000:
            optimizer.param_groups[0]["lr"] = 0.001
        optimizer.zero_grad()
        (network(pictures)[0] - pictures).square().mean().backward()
        optimizer.step()
    beside = PCA(3).fit(rows)
    error = (network(pictures)[0] - pictures).square().mean().item()
    wanted = float(((beside.inverse_transform(beside.transform(rows)) - rows) ** 2).mean())
    assert error / wanted == pytest.approx(1, abs=0.005)
    ours = np.linalg.qr(network.decoder[0].weight.detach().numpy())[0]
    cosines = np.linalg.svd(ours.T @ beside.components_.T)[1]
    assert np.degrees(np.arccos(np.clip(cosines.min(), -1, 1))) <= 2


@pytest.mark.parametrize("kind", ["gaussian", "dropout", "salt"])
def test_noise_is_of_its_kind_and_level_and_stays_in_range(kind):
    pictures = torch.full((50, 1, 28, 28), 0.5)
    level = torch.linspace(0, 0.4, 50)
    found = noised(pictures, kind, level, torch.Generator().manual_seed(0))
    assert (found.min() >= 0, found.max() <= 1) == (True, True)
    assert torch.equal(found[0], pictures[0])
    changed = (found != pictures).float().flatten(1).mean(1)
    if kind == "gaussian":
        assert (found[10] - 0.5).std() == pytest.approx(float(level[10]), rel=0.1)
    else:
        assert float(changed[-1]) == pytest.approx(0.4, abs=0.05)
        assert set(found[-1].unique().tolist()) == ({0.0, 0.5} if kind == "dropout" else {0.0, 0.5, 1.0})


def test_sparsity_is_none_where_each_unit_is_as_active_as_wanted():
    code = torch.tensor([[0.1, 0.0], [0.0, 0.1]])
    assert autoencoders.sparsity(code, "l1", 0.05).item() == pytest.approx(0.05)
    assert autoencoders.sparsity(code, "kl", 0.05).item() == pytest.approx(0, abs=1e-6)
    assert autoencoders.sparsity(code + 0.3, "kl", 0.05).item() > 0.1


def test_the_same_seed_gives_the_same_noise():
    pictures, level = torch.rand(4, 1, 8, 8), torch.full((4,), 0.3)
    one, again = (noised(pictures, "gaussian", level, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, again)
