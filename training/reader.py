"""A network that reads numbers of tokens, and its form for the graph, which also says what each token contributed.

Word vectors, an optional strided convolution that shortens the text, recurrent layers, their states read out by one linear
layer. Knows no family, no words and no data.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from service.golden import Arrays
from service.text import PADDING, UNKNOWN
from training.recurrent import Cell, Recurrent, inside, lengths
from training.room import Predict

SPREAD = 0.5
"""Standard deviation of the word vectors at the start."""
SHARPNESS = 100.0
"""Of the place of a maximum: steps that are 0.01 below it have a third of its share."""
TOGETHER = 256
"""Rows of like length that are asked together."""


@dataclass(frozen=True)
class Plan:
    """What a reader is built of."""

    words: int
    """Numbers there are, padding and unknown included."""
    classes: int
    size: int
    """Of a word's vector."""
    cell: Cell
    units: int
    layers: int = 1
    bidirectional: bool = True
    conv: int = 0
    """Stride of the convolution; 0 for none."""
    pooled: bool = True
    """Read the mean and the maximum of the states instead of the last one."""
    dropout: float = 0.0


class Reader(nn.Module):
    """Numbers of tokens to a score for each label."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.embedding = nn.Embedding(plan.words, plan.size, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight.detach()[UNKNOWN:], std=SPREAD)
        self.stride = max(1, plan.conv)
        self.conv = nn.Conv1d(plan.size, 2 * plan.units, 5, plan.conv, 2) if plan.conv else None
        self.recurrent = Recurrent(
            plan.cell,
            2 * plan.units if plan.conv else plan.size,
            plan.units,
            layers=plan.layers,
            bidirectional=plan.bidirectional,
            dropout=plan.dropout,
        )
        self.dropout = nn.Dropout(plan.dropout)
        self.pooled, self.forwards = plan.pooled, plan.units
        width = plan.units * (2 if plan.bidirectional else 1)
        self.output = nn.Linear(2 * width if self.pooled else width, plan.classes)

    def start_from(self, vectors: Tensor) -> None:
        """Take word vectors (words, size), at this network's scale."""
        with torch.no_grad():
            self.embedding.weight.copy_(vectors * (SPREAD / vectors[UNKNOWN:].std()))

    def forward(self, tokens: Tensor, target: Tensor | None = None, adversarial: float = 0.0) -> Tensor:
        """Scores (batch, classes), or the loss of each row (batch,) where a `target` (batch, classes) is given.

        The loss is cross-entropy; where adversarial, its mean with that of the row moved where it is worst: the word vectors
        go up the gradient of the loss (Miyato et al. 2017, "Adversarial training methods for semi-supervised text
        classification"), in root mean square over the tokens by `adversarial`.
        """
        vectors = self.embedding(tokens)
        length = lengths(tokens)
        if target is None:
            return self._scores(vectors, length)
        plain = F.cross_entropy(self._scores(vectors, length).float(), target, reduction="none")
        if not adversarial:
            return plain
        (up,) = torch.autograd.grad(plain.sum(), vectors, retain_graph=True)
        up = up.float()
        far = adversarial * length.sqrt() / up.norm(dim=(1, 2)).clamp(min=1e-12)
        moved = self._scores(vectors + up * far[:, None, None], length)
        return (plain + F.cross_entropy(moved.float(), target, reduction="none")) / 2

    def _scores(self, vectors: Tensor, length: Tensor) -> Tensor:
        states, steps = self.states(vectors, length)
        scored: Tensor = self.output(self.dropout(self.read(states, steps)))
        return scored

    def states(self, embedded: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Recurrent states (batch, steps, width), and how many steps each row has."""
        # one mask for all steps of a row (Gal and Ghahramani 2016); it is also much cheaper to draw
        x = embedded * self.dropout(torch.ones_like(embedded[:, :1]))
        if self.conv is not None:
            x = F.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
            length = (length + self.stride - 1) // self.stride
        return self.recurrent(x, length), length

    def read(self, states: Tensor, steps: Tensor) -> Tensor:
        """What is read out of the states: one vector a row."""
        if self.pooled:
            within = inside(steps, states.shape[1])[:, :, None]
            highest = torch.where(within, states, -1.0).amax(1)  # no state is below -1
            return torch.cat([states.sum(1) / steps[:, None], highest], 1)
        place = (steps - 1)[:, None, None].expand(-1, -1, self.forwards)
        return torch.cat([states[:, :, : self.forwards].gather(1, place)[:, 0], states[:, 0, self.forwards :]], 1)


class Deployed(nn.Module):
    """Numbers of tokens in; calibrated probabilities, and each token's part of each label's score out.

    The word vectors are kept in 8 bits, a scale for each word. A token's part (after Murdoch and Szlam 2017, "Automatic rule
    extraction from long short term memory networks") is what the states change by at it, for as long as what is read out
    holds that change: the parts add up to the score less the output layer's bias.
    """

    table: Tensor
    scale: Tensor

    def __init__(self, reader: Reader, temperature: float) -> None:
        super().__init__()
        self.reader, self.temperature = reader, temperature
        vectors = reader.embedding.weight.detach()
        scale = vectors.abs().amax(1, keepdim=True).clamp(min=1e-6) / 127
        self.register_buffer("table", (vectors / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        known = (tokens >= 0) & (tokens < self.table.shape[0])
        numbers = torch.where(known, tokens, UNKNOWN).long()
        length = lengths(numbers)
        states, steps = self.reader.states(self.table[numbers].float() * self.scale[numbers], length)
        logits = self.reader.output(self.reader.read(states, steps)) / self.temperature
        parts = self._by_token(self._by_step(states, steps), length, tokens.shape[1])
        return logits.softmax(1), parts / self.temperature

    def _by_step(self, states: Tensor, steps: Tensor) -> Tensor:
        """(batch, steps, width) -> (batch, steps, labels): the changes of the states, read out."""
        forwards, weight = self.reader.forwards, self.reader.output.weight
        nothing = torch.zeros_like(states[:, :1])
        before, after = torch.cat([nothing, states[:, :-1]], 1), torch.cat([states[:, 1:], nothing], 1)
        forward = torch.arange(states.shape[2], device=states.device) < forwards
        within = inside(steps, states.shape[1])[:, :, None]
        change = torch.where(within, states - torch.where(forward, before, after), 0.0)
        if not self.reader.pooled:
            return change @ weight.T
        place = torch.arange(states.shape[1], device=states.device)[None, :, None]
        stays = torch.where(forward, steps[:, None, None] - place, place + 1) / steps[:, None, None]
        # where the maximum stands, shared by steps as good as equal: else the last bit of a state would decide
        masked = torch.where(within, states, -1.0)
        top = masked.amax(1, keepdim=True)
        stands = torch.where(within, ((masked - top) * SHARPNESS).exp(), 0.0)
        stands = stands / stands.sum(1, keepdim=True)
        before = stands.cumsum(1)
        reaches = torch.where(forward, 1 - before + stands, before)
        left_over = (top - (stands * states).sum(1, keepdim=True)) * stands
        mean, highest = weight.chunk(2, 1)
        return (change * stays) @ mean.T + (change * reaches + left_over) @ highest.T

    def _by_token(self, parts: Tensor, length: Tensor, time: int) -> Tensor:
        """(batch, steps, labels) -> (batch, time, labels): a step's part shared evenly by the tokens that it strides over."""
        stride = self.reader.stride
        if stride == 1:
            return parts
        start = torch.arange(parts.shape[1], device=parts.device) * stride
        tokens = (length[:, None] - start).clamp(1, stride)[:, :, None]
        step = torch.arange(time, device=parts.device) // stride
        return (parts / tokens).index_select(1, step) * inside(length, time)[:, :, None]


def by_length(predict: Predict, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
    """Probabilities (rows, labels), asked in batches of like length: padding changes nothing, and costs time."""
    length = (tokens != PADDING).sum(1)
    order = np.argsort(length, kind="stable")
    parts = [order[start : start + TOGETHER] for start in range(0, len(order), TOGETHER)]
    answers = [predict({"tokens": tokens[part, : length[part].max()]})["probabilities"] for part in parts]
    found = np.empty((len(tokens), answers[0].shape[1]))
    found[order] = np.concatenate(answers)
    return found


def log_shares(reader: Reader, tokens: NDArray[np.int32]) -> NDArray[np.float64]:
    """Logarithms of the probabilities (rows, classes) that a reader's graph will give before it is calibrated."""
    answers = Deployed(reader, 1.0).to(next(reader.parameters()).device)

    def predict(arrays: Arrays, graph: str = "model") -> Arrays:  # noqa: ARG001 - there is one
        with torch.inference_mode():
            return {"probabilities": answers(torch.from_numpy(arrays["tokens"]).to(answers.table.device))[0].cpu().numpy()}

    found: NDArray[np.float64] = np.log(np.maximum(by_length(predict, tokens), 1e-12))
    return found
