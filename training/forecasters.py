"""Networks that continue a window: raw values (batch, time, columns) in, mean and quantiles of what follows out.

    raw -> standardised -> less its level, trend and season -> core -> what was taken off is put back -> raw

Knows PyTorch; knows no family and no data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from training.bands import Settled
from training.recurrent import Cell, Recurrent

Level = Literal["last", "mean", "standard", "none"]
Core = Literal["segments", "seq2seq", "linear"]
MOST = 1e30
"""Of a standardised value, either way: so that nothing overflows."""
FLATTEST = 1e-3
"""Least standard deviation that a window is divided by."""
CALM = 0.05
"""Share of the training windows that are calmer than a band takes any window to be: one that was filled repeats itself."""
SAMPLING = 200.0
"""Steps, about, until half of what a decoder is fed is its own (Bengio et al. 2015, inverse sigmoid decay)."""


@dataclass(frozen=True)
class Plan:
    """What a forecaster is built of."""

    core: Core
    context: int
    horizon: int
    columns: int
    quantiles: tuple[float, ...]
    """Ascending, one of them 0.5."""
    level: Level = "last"
    detrend: bool = False
    season: int = 0
    """Steps of the season that is taken off; 0 for none."""
    period: int = 1
    """Steps apart that a window's unrest is measured over."""
    cell: Cell = "gru"
    units: int = 64
    segment: int = 24
    dropout: float = 0.0
    scheduled: bool = False
    """Feed a decoder the truth at first, its own forecasts more and more."""

    @property
    def answers(self) -> int:
        """Numbers a step and column: the mean and the quantiles."""
        return 1 + len(self.quantiles)


class Removed(nn.Module):
    """What is taken off a window and put back on its continuation: level, line and season, each linear in the window.

    A level is the last value or the mean, a line is that of least squares, a season is the mean of each phase.
    """

    off: Tensor
    back: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        before, after = plan.context, plan.horizon
        rest, back = torch.eye(before, dtype=torch.float64), torch.zeros(before, after, dtype=torch.float64)
        for fitted in _fitted(plan):  # (before, before + after): a window times this is the part and how it goes on
            back = back + rest @ fitted[:, before:]
            rest = rest - rest @ fitted[:, :before]
        self.register_buffer("off", rest.float(), persistent=False)
        self.register_buffer("back", back.float(), persistent=False)
        self.divides = plan.level == "standard"
        self.last = plan.level == "last" and not (plan.detrend or plan.season)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(…, context) -> what is left of it, what to add to its continuation (…, horizon or 1), and its scale (…, 1)."""
        if self.last:  # the same without multiplying by what is nearly the identity
            level = x[..., -1:]
            return x - level, level, torch.ones_like(level)
        rest = x @ self.off
        scale = rest.std(-1, keepdim=True).clamp(min=FLATTEST) if self.divides else torch.ones_like(rest[..., :1])
        return rest / scale, x @ self.back, scale


def _fitted(plan: Plan) -> list[Tensor]:
    time = torch.arange(plan.context + plan.horizon, dtype=torch.float64)
    parts: list[Tensor] = []
    if plan.level != "none":
        kept = torch.zeros(plan.context, 1, dtype=torch.float64)
        if plan.level == "last":
            kept[-1] = 1
        else:
            kept[:] = 1 / plan.context
        parts.append(kept.expand(-1, len(time)))
    if plan.detrend:
        line = torch.stack([torch.ones_like(time), time / plan.context], 1)
        parts.append(torch.linalg.pinv(line[: plan.context]).T @ line.T)
    if plan.season:
        phase = F.one_hot((time % plan.season).long(), plan.season).double()
        share = phase[: plan.context] / phase[: plan.context].sum(0).clamp(min=1)
        parts.append(share @ phase.T)
    return parts


class Segments(nn.Module):
    """A recurrent network over segments of the window, all segments ahead decoded at once (Lin et al. 2023, "SegRNN").

    The columns share its weights; each has a vector that says which it is.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan, self.ahead = plan, -(-plan.horizon // plan.segment)
        half = plan.units // 2
        self.taken = plan.context // plan.segment * plan.segment
        self.input = nn.Linear(plan.segment, plan.units)
        self.encoder = Recurrent(plan.cell, plan.units, plan.units)
        self.decoder = nn.GRUCell(plan.units, plan.units)
        self.place = nn.Parameter(torch.randn(self.ahead, half) * 0.1)
        self.column = nn.Parameter(torch.randn(plan.columns, plan.units - half) * 0.1)
        self.dropout = nn.Dropout(plan.dropout)
        self.output = nn.Linear(plan.units, plan.segment * plan.answers)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, columns, context) -> (batch, columns, horizon, answers)."""
        batch, plan = x.shape[0], self.plan
        cut = x[:, :, plan.context - self.taken :].reshape(batch * plan.columns, -1, plan.segment)
        steps = torch.full_like(cut[:, 0, 0], cut.shape[1], dtype=torch.int64)
        state = self.encoder(F.relu(self.input(cut)), steps)[:, -1]  # (batch * columns, units)
        answered = self.output(self.dropout(self._decoded(state.reshape(batch, plan.columns, 1, plan.units))))
        whole: Tensor = answered.reshape(batch, plan.columns, self.ahead * plan.segment, plan.answers)
        return whole[:, :, : plan.horizon]

    def _decoded(self, state: Tensor) -> Tensor:
        """One step of the decoder's cell from (batch, columns, 1, units) for each segment ahead (…, ahead, units).

        What a segment's place and column add is the same for all windows, what the state adds for all segments: so both are
        multiplied out before they meet.
        """
        cell, columns = self.decoder, self.plan.columns
        place, column = self.place[None].expand(columns, -1, -1), self.column[:, None].expand(-1, self.ahead, -1)
        asked = F.linear(torch.cat([place, column], 2), cell.weight_ih, cell.bias_ih).chunk(3, -1)
        held = F.linear(state, cell.weight_hh, cell.bias_hh).chunk(3, -1)
        reset, update = torch.sigmoid(asked[0] + held[0]), torch.sigmoid(asked[1] + held[1])
        new = torch.tanh(asked[2] + reset * held[2])
        return new + update * (state - new)


class Seq2seq(nn.Module):
    """An encoder reads all columns step by step, a decoder writes them step by step from its own last forecast.

    After Sutskever et al. 2014 and Cho et al. 2014. In training the decoder may be fed the truth (scheduled sampling).
    """

    fed: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.encoder = Recurrent(plan.cell, plan.columns, plan.units)
        cells = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}
        self.decoder = cells[plan.cell](plan.columns, plan.units)
        self.dropout = nn.Dropout(plan.dropout)
        self.output = nn.Linear(plan.units, plan.columns * plan.answers)
        self.register_buffer("fed", torch.zeros(()))

    def forward(self, x: Tensor, truth: Tensor | None = None) -> Tensor:
        """(batch, columns, context), what follows in training -> (batch, columns, horizon, answers)."""
        steps = torch.full_like(x[:, 0, 0], self.plan.context, dtype=torch.int64)
        state = self.encoder(x.transpose(1, 2), steps)[:, -1]
        carried = (state, torch.tanh(state), x[:, :, -1].clone())
        if torch.onnx.is_in_onnx_export():
            blank = torch.zeros(self.plan.horizon, device=x.device)
            return self._parted(scan(lambda before, _: self._step(before), carried, blank)[1])
        parts = []
        forced = self._forced(truth)
        for step in range(self.plan.horizon):
            carried, answer = self._step(carried)
            parts.append(answer)
            if forced is not None and truth is not None:
                carried = (*carried[:2], torch.where(forced[step], truth[:, :, step], carried[2]))
        return self._parted(torch.stack(parts))

    def _parted(self, written: Tensor) -> Tensor:
        """(horizon, batch, columns * answers) -> (batch, columns, horizon, answers)."""
        parted = written.reshape(self.plan.horizon, -1, self.plan.columns, self.plan.answers)
        return parted.permute(1, 2, 0, 3)

    def _step(self, carried: tuple[Tensor, Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        state, memory, last = carried
        if self.plan.cell == "lstm":
            state, memory = self.decoder(last, (state, memory))
        else:
            state, memory = self.decoder(last, state), memory.clone()
        answer = self.output(self.dropout(state))  # (batch, columns * answers): kept flat, for the graph's loop
        return (state, memory, answer[:, :: self.plan.answers].clone()), answer

    def _forced(self, truth: Tensor | None) -> Tensor | None:
        """Which steps of this batch are fed the truth: (horizon,)."""
        if truth is None or not self.plan.scheduled or not self.training:
            return None
        share = SAMPLING / (SAMPLING + torch.exp(self.fed / SAMPLING))
        self.fed += 1
        return torch.rand(self.plan.horizon, device=truth.device) < share


class Direct(nn.Module):
    """One linear map that all columns share."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.output = nn.Linear(plan.context, plan.horizon * plan.answers)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, columns, context) -> (batch, columns, horizon, answers)."""
        made: Tensor = self.output(x)
        return made.reshape(x.shape[0], self.plan.columns, self.plan.horizon, self.plan.answers)


class Forecaster(nn.Module):
    """Raw windows to the standardised mean of what follows, and how far each quantile lies from it."""

    centre: Tensor
    scale: Tensor
    calm: Tensor

    def __init__(self, plan: Plan, centre: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("centre", torch.tensor(centre, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("calm", torch.full((plan.columns, 1), FLATTEST))
        self.removed = Removed(plan)
        cores = {"segments": Segments, "seq2seq": Seq2seq, "linear": Direct}
        self.core = cores[plan.core](plan)
        self.middle = plan.quantiles.index(0.5)

    def standardised(self, series: Tensor) -> Tensor:
        """(batch, time, columns) -> (batch, columns, time)."""
        return ((series - self.centre) / self.scale).clamp(-MOST, MOST).transpose(1, 2)

    def meet(self, windows: Tensor) -> None:
        """Remember how calm the calm ones of these training windows (n, context, columns) are."""
        with torch.no_grad():
            unrest = self._unrest(self.removed(self.standardised(windows))[0])
            self.calm.copy_(unrest.quantile(CALM, 0).clamp(min=FLATTEST))

    def straight(self, series: Tensor, linear: Tensor) -> Tensor:
        """The linear forecast (columns, context, horizon) of raw windows: (batch, columns, horizon), standardised."""
        return (self.standardised(series).transpose(0, 1) @ linear).transpose(0, 1)

    def answers(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, context, columns) -> mean (batch, columns, horizon), how far the quantiles lie from it (…, quantiles)."""
        rest, back, scale = self.removed(self.standardised(series))
        return self._answered(self.core(rest), rest, back, scale)

    def forward(self, series: Tensor, follows: Tensor) -> Tensor:
        """Raw windows (batch, context, columns) and what follows (batch, horizon, columns) -> the loss of each (batch,)."""
        rest, back, scale = self.removed(self.standardised(series))
        truth = self.standardised(follows)
        made = self.core(rest, (truth - back) / scale) if isinstance(self.core, Seq2seq) else self.core(rest)
        mean, apart = self._answered(made, rest, back, scale)
        error = (truth - mean).abs()
        beyond = (truth - mean.detach())[..., None] - apart  # the mean learns nothing from the quantiles
        levels = torch.tensor(self.plan.quantiles, device=beyond.device)
        pinball = torch.maximum(levels * beyond, (levels - 1) * beyond).mean(-1)
        return (error + pinball).mean((1, 2))

    def _answered(self, made: Tensor, rest: Tensor, back: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return made[..., 0] * scale + back, self._spread(made[..., 1:]) * (self._unrest(rest) * scale)[..., None]

    def _unrest(self, rest: Tensor) -> Tensor:
        """How far a window's steps are from those a period before, in the mean (batch, columns, 1): bands follow it."""
        period = self.plan.period
        return torch.maximum((rest[..., period:] - rest[..., :-period]).abs().mean(-1, keepdim=True), self.calm)

    def _spread(self, made: Tensor) -> Tensor:
        """Distances from the mean, in the order of the quantiles: they grow from the median outwards, so none cross."""
        middle = made[..., self.middle : self.middle + 1]
        below = F.softplus(made[..., : self.middle]).flip(-1).cumsum(-1).flip(-1)
        above = F.softplus(made[..., self.middle + 1 :]).cumsum(-1)
        return torch.cat([middle - below, middle, middle + above], -1)


class Deployed(nn.Module):
    """Raw windows in, the mean (batch, horizon, columns) and the quantiles (…, quantiles) out, in the units that came in."""

    linear: Tensor | None
    factors: Tensor

    def __init__(self, forecaster: Forecaster, linear: Tensor | None, settled: Settled) -> None:
        super().__init__()
        self.forecaster, self.share = forecaster, settled.share if linear is not None else 0.0
        # (columns, context, horizon), on the standardised window as it is
        self.register_buffer("linear", linear if self.share else None)
        plan = forecaster.plan
        sides = [settled.below if level < 0.5 else settled.above for level in plan.quantiles]
        self.register_buffer("factors", torch.stack(sides, 1))  # (horizon, quantiles)

    def forward(self, series: Tensor) -> tuple[Tensor, Tensor]:
        f = self.forecaster
        mean, apart = f.answers(series)
        if self.linear is not None:
            mean = self.share * f.straight(series, self.linear) + (1 - self.share) * mean
        middle = apart[..., f.middle : f.middle + 1]
        spread = mean[..., None] + middle + (apart - middle) * self.factors  # (batch, columns, horizon, quantiles)
        raw = (mean * f.scale[:, None] + f.centre[:, None]).transpose(1, 2)
        return raw, (spread * f.scale[:, None, None] + f.centre[:, None, None]).transpose(1, 2)
