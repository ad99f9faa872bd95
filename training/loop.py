"""The training loop: epochs of steps with Lightning Fabric, the only file that knows it. Knows no family.

Averages the weights as it goes (exponentially, with a time constant of 3 % of the steps: Polyak and Juditsky 1992), changes
the rate in one cycle (Smith and Topin 2018), spends its steps on the rows that are not yet learnt where that is wanted
(`focus`, after Loshchilov and Hutter 2016, "Online batch selection"), and leaves a checkpoint after each epoch.
The order of rows, dropout and augmentation are seeded by (seed, epoch) and everything else is in the checkpoint, so that a
killed run that is resumed ends with the same weights on the same machine.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from service.golden import Arrays
from training.checkpoint import Checkpoint
from training.room import Batch, Data, Export, Predict, Ragged, Recipe, Room, TrainingError
from training.run import Run, now

AVERAGED_SHARE = 0.03
"""Of all steps: the time constant of the weights' average."""
WHOLE_EPOCHS = 3
"""Epochs that see every row before the loop chooses: earlier, the losses say nothing about the rows."""
CHECK_EVERY = 50
"""Steps between two looks at whether the loss is still a number."""
SHOWN_EVERY_S = 0.5
"""Of the progress bar: a step may take a second."""
EVALUATED_ROWS = 500
SETTLED_ROWS = 25_000
BUCKET = 50
"""Batches among which ragged rows are sorted by length."""


@dataclass
class _State:
    """All that changes while training."""

    network: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    row_losses: Tensor
    """(rows,) on the CPU: how hard each row was when it was last seen, smoothed."""
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best(self) -> nn.Module:
        """The network to keep."""
        module: nn.Module = self.averaged.module
        return module


def fit(room: Room, config: Recipe, data: Data, run: Run) -> nn.Module:
    """Train, or go on from the run's checkpoint; the network to export, on the CPU. Raises TrainingError.

    A room whose training is not epochs of steps brings its own `fit(config, data, run)`, which is called instead.
    """
    if own := getattr(room, "fit", None):
        network: nn.Module = own(config, data, run)
        return network
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would tell of the precision, each time
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision(config))
    torch.manual_seed(config.seed)
    train = {name: torch.from_numpy(array) for name, array in data.train.items() if array.dtype != object}
    validation = room.rows(data.validation, data.files)
    rows = next(iter(train.values())).shape[0]
    steps = _steps(config, rows)
    state = _begin(room.network(config, data), config, rows)
    if checkpoint := run.checkpoint():
        _restore(state, checkpoint)
    network, optimizer = fabric.setup(state.network, state.optimizer)
    state.averaged.to(fabric.device)
    with run.progress(sum(steps), sum(steps[: len(state.history)])) as advance:
        shown = _shown(advance, room.gate, config.epochs, state.history)
        for epoch in range(len(state.history), config.epochs):
            begun = time.perf_counter()
            torch.manual_seed(_epoch_seed(config.seed, epoch))
            order = _order(state.row_losses, epoch, steps[epoch] * min(config.batch_size, rows), config.focus)
            groups = _grouped(order, train, data.ragged, min(config.batch_size, rows))
            batches = _batches(train, groups, data.ragged, fabric.device)
            loss = _epoch(lambda batch: room.step(network, batch, config), fabric, (state, optimizer, config), batches, shown)
            predict = predict_with(room, state.best, data, config, fabric.device)
            scores = room.evaluate(predict, validation, data.labels)
            row = {
                "epoch": epoch + 1,
                "train_loss": loss,
                **scores.values,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - begun,
            }
            state.history.append(row)
            run.record(row, _save(state))
            shown(0, loss)
    network = state.best.to("cpu").eval()
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        _settle_norms(room.export(network, data, config), data)
    return network


def _precision(config: Recipe) -> Any:
    return {"bfloat16": "bf16-mixed", "float32": "32-true"}[config.precision]


def _epoch_seed(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch * 7_919 + 1) % 2**63


def _steps(config: Recipe, rows: int) -> list[int]:
    """Of each epoch."""
    whole = max(1, rows // config.batch_size)
    focused = max(1, round(whole * config.focus))
    return [whole if epoch < WHOLE_EPOCHS else focused for epoch in range(config.epochs)]


def _begin(network: nn.Module, config: Recipe, rows: int) -> _State:
    tables = {id(module.weight) for module in network.modules() if isinstance(module, nn.Embedding)}
    decayed = [weight for weight in network.parameters() if weight.ndim > 1 and id(weight) not in tables]
    others = [weight for weight in network.parameters() if weight.ndim <= 1 or id(weight) in tables]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},  # norms, biases and a rare word's vector are not shrunk
        ],
        lr=config.learning_rate,
        fused=True,
    )
    total = sum(_steps(config, rows))
    scheduler: LRScheduler
    if config.schedule == "one-cycle":
        steps = max(5, total)  # of exactly 4, the climb would have no length, and torch divides by it
        scheduler = OneCycleLR(optimizer, config.learning_rate, total_steps=steps, pct_start=0.25)
    else:
        scheduler = LambdaLR(optimizer, lambda _: 1.0)
    decay = 1 - 1 / max(1.0, AVERAGED_SHARE * total) if config.average else 0.0
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return _State(network, averaged, optimizer, scheduler, torch.zeros(rows))


def _order(losses: Tensor, epoch: int, count: int, focus: float) -> Tensor:
    """Indices of the rows of one epoch, shuffled: all, or half of them the hardest and half drawn from the others."""
    if epoch < WHOLE_EPOCHS or focus == 1:
        return torch.randperm(len(losses))[:count]
    ranked = losses.argsort(descending=True, stable=True)
    hardest, others = ranked[: count // 2], ranked[count // 2 :]
    drawn = others[torch.randperm(len(others))[: count - len(hardest)]]
    chosen = torch.cat([hardest, drawn])
    return chosen[torch.randperm(len(chosen))]


def _grouped(order: Tensor, train: Batch, ragged: Ragged | None, batch_size: int) -> list[Tensor]:
    """The indices of each batch; of ragged rows, neighbours by length, the batches in an order that is not."""
    if ragged is None:
        return list(torch.split(order, batch_size))
    lengths = train[ragged.length]
    batches = [
        batch
        for bucket in torch.split(order, batch_size * BUCKET)
        for batch in torch.split(bucket[lengths[bucket].argsort(stable=True)], batch_size)
    ]
    return [batches[place] for place in torch.randperm(len(batches))]


def _batches(train: Batch, groups: list[Tensor], ragged: Ragged | None, device: torch.device) -> Iterator[tuple[Tensor, Batch]]:
    """The rows' indices and the rows, batch by batch, cut to the longest where they are ragged."""
    for index in groups:
        batch = {name: tensor.index_select(0, index) for name, tensor in train.items()}
        if ragged:
            longest = int(batch[ragged.length].max())
            batch |= {name: batch[name][:, :longest] for name in ragged.padded}
        yield index, {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _epoch(
    losses_of: Callable[[Batch], Tensor],
    fabric: Fabric,
    moving: tuple[_State, Any, Recipe],
    batches: Iterator[tuple[Tensor, Batch]],
    shown: Callable[[int, float], None],
) -> float:
    """One pass; the mean loss. Raises TrainingError when the loss is no number any more."""
    state, optimizer, config = moving
    state.network.train()
    total, steps, told, looked = torch.zeros((), device=fabric.device), 0, 0, time.monotonic()
    for index, batch in batches:
        optimizer.zero_grad()
        losses = losses_of(batch)
        loss = losses.mean()
        fabric.backward(loss)
        if config.clip is not None:
            nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
        optimizer.step()
        state.scheduler.step()
        if config.average:
            state.averaged.update_parameters(state.network)
        if config.focus < 1:
            state.row_losses[index] = torch.lerp(state.row_losses[index], losses.detach().float().cpu(), 0.5)
        total += loss.detach()
        steps += 1
        if steps % CHECK_EVERY == 0 or time.monotonic() - looked > SHOWN_EVERY_S:
            _check(total.item(), state)
            shown(steps - told, total.item() / steps)
            told, looked = steps, time.monotonic()
    if not config.average:
        state.averaged.update_parameters(state.network)  # whose decay is 0: the last weights
    _check(total.item(), state)
    shown(steps - told, total.item() / steps)
    return total.item() / steps


def _shown(
    advance: Callable[[int, str], None], gate: str, epochs: int, history: list[dict[str, float]]
) -> Callable[[int, float], None]:
    """Moves the bar by steps, and says the loss with what `history` holds by then."""
    return lambda steps, loss: advance(steps, now(history, gate, epochs, loss))


def _check(loss: float, state: _State) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss became {loss} in epoch {len(state.history) + 1}; try a lower --learning-rate or --precision float32."
        )


def predict_with(room: Room, network: nn.Module, data: Data, config: Recipe, device: torch.device) -> Predict:
    """The network as it will be exported, asked in batches: arrays in, arrays out."""
    network.eval()
    whole = room.export(network, data, config)
    graphs = {"model": whole, **whole.more}

    def predict(arrays: Arrays, graph: str = "model") -> Arrays:
        parts: list[tuple[Tensor, ...]] = []
        rows = next(iter(arrays.values())).shape[0]
        export = graphs[graph]
        module = export.module.to(device).eval()
        with torch.inference_mode():
            for start in range(0, rows, EVALUATED_ROWS):
                batch = [torch.from_numpy(arrays[name][start : start + EVALUATED_ROWS]).to(device) for name in export.inputs]
                answer = module(*batch)
                parts.append(answer if isinstance(answer, tuple) else (answer,))
        return {name: torch.cat([part[index] for part in parts]).cpu().numpy() for index, name in enumerate(export.outputs)}

    return predict


def _settle_norms(export: Export, data: Data) -> None:
    """Give batch norms the statistics of rows as they will be served: those seen in training may be augmented.

    Cumulative over the first rows (Izmailov et al. 2018 do so for averaged weights); everything else stays as it is.
    """
    norms = [module for module in export.module.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative
        norm.train()
    rows = export.served() if export.served else data.train
    count = len(next(iter(rows.values())))
    some = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:SETTLED_ROWS]  # of every class in each batch
    inputs = [torch.from_numpy(rows[name])[some] for name in export.inputs]
    with torch.no_grad():
        for batch in zip(*(torch.split(tensor, EVALUATED_ROWS) for tensor in inputs), strict=True):
            export.module(*batch)
    export.module.eval()


def _save(state: _State) -> Checkpoint:
    tensors = {f"network.{name}": tensor for name, tensor in state.network.state_dict().items()}
    tensors |= {f"averaged.{name}": tensor for name, tensor in state.averaged.state_dict().items()}
    tensors["row_losses"] = state.row_losses
    optimizer = state.optimizer.state_dict()
    for index, values in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in values.items()}
    scheduler = {key: value for key, value in state.scheduler.state_dict().items() if key != "lr_lambdas"}
    return Checkpoint(tensors, {"history": state.history, "groups": optimizer["param_groups"], "scheduler": scheduler})


def _restore(state: _State, checkpoint: Checkpoint) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(prefix)}

    state.network.load_state_dict(part("network."))
    state.averaged.load_state_dict(part("averaged."))
    state.row_losses.copy_(checkpoint.tensors["row_losses"])
    weights = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimizer.").items():
        index, _, key = name.partition(".")
        weight = weights[int(index)]
        # laid out in memory as the weight is (channels last, perhaps): the fused optimizer goes through both side by side
        placed = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
        moments.setdefault(int(index), {})[key] = placed
    state.optimizer.load_state_dict({"state": moments, "param_groups": checkpoint.values["groups"]})
    scheduler = state.scheduler.state_dict()
    state.scheduler.load_state_dict({**scheduler, **checkpoint.values["scheduler"]})
    state.history.extend(checkpoint.values["history"])
