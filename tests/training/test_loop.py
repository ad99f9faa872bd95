"""The loop, on a network small enough to follow."""

import io
import re
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from service.manifest import Source
from training import loop
from training.checkpoint import Checkpoint
from training.room import Data, Export, Ragged, Scores, TrainingError
from training.run import CHECKPOINT, METRICS, Run

ROWS = 40
SOURCE = Source(name="made", size_bytes=0, sha256="0" * 64, rows={})


@dataclass(frozen=True)
class Config:
    epochs: int = 4
    batch_size: int = 10
    learning_rate: float = 0.01
    weight_decay: float = 0.01
    schedule: str = "one-cycle"
    focus: float = 1.0
    average: bool = True
    clip: float | None = None
    precision: str = "float32"
    seed: int = 3


class Killed(BaseException):
    pass


def network(config, data):
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))


def step(network, batch, config):
    return ((network(batch["x"] + 0.1 * torch.randn_like(batch["x"])) - batch["y"]) ** 2).mean(1)


def evaluate(predict, split, labels):
    return Scores({"error": float(np.abs(predict({"x": split["x"]})["y"] - split["y"]).mean())})


def export(network, data, config):
    return Export(network, {"x": torch.zeros(2, 3)}, ("y",))


@pytest.fixture
def room():
    """Learns the sum of three numbers, with noise, dropout and batch norm: all that a resumed run could get wrong."""
    return SimpleNamespace(
        gate="error", network=network, step=step, evaluate=evaluate, export=export, rows=lambda split, files: split
    )


@pytest.fixture
def made() -> Data:
    x = np.random.default_rng(0).normal(2, 1, (ROWS, 3)).astype(np.float32)
    split = {"x": x, "y": x.sum(1, keepdims=True)}
    return Data(split, split, split, SOURCE, {})


@pytest.fixture
def begin(tmp_path):
    """A new run's folder."""
    return lambda name="x": Run.begin(tmp_path, name, {}, Console(quiet=True))


def fit(room, config, data, run):
    return {name: tensor.clone() for name, tensor in loop.fit(room, config, data, run).state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def history(run):
    return Checkpoint.read(run.folder / CHECKPOINT).values["history"]


def fit_until(epoch, room, config, data, run):
    """Killed as soon as this epoch is recorded."""
    record = run.record

    def recorded(row, checkpoint):
        record(row, checkpoint)
        if row["epoch"] == epoch:
            raise Killed

    run.record = recorded
    with pytest.raises(Killed):
        loop.fit(room, config, data, run)


@pytest.mark.parametrize("killed_after", [1, 4])
@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize(("average", "focus"), [(True, 1.0), (False, 0.5)])
def test_a_resumed_run_ends_with_the_same_weights(room, made, begin, tmp_path, schedule, average, focus, killed_after):
    config = Config(schedule=schedule, average=average, focus=focus, epochs=5)
    whole = fit(room, config, made, begin("whole"))
    fit_until(killed_after, room, config, made, begin("killed"))
    torch.manual_seed(999)  # another process's
    resumed = Run.resume(tmp_path, "killed", {}, Console(quiet=True))
    assert same(fit(room, config, made, resumed), whole)
    assert [row["epoch"] for row in history(resumed)] == [1, 2, 3, 4, 5]


def test_a_resumed_run_whose_weights_lie_otherwise_in_memory_ends_with_the_same(room, made, begin, tmp_path):
    def convolution(config, data):
        layers = [nn.Unflatten(1, (3, 1, 1)), nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8, 1)]
        return nn.Sequential(*layers).to(memory_format=torch.channels_last)

    room.network = convolution
    whole = fit(room, Config(), made, begin("whole"))
    fit_until(2, room, Config(), made, begin("killed"))
    assert same(fit(room, Config(), made, Run.resume(tmp_path, "killed", {}, Console(quiet=True))), whole)


def test_the_seed_decides_the_weights(room, made, begin):
    one, again, other = (fit(room, Config(seed=seed), made, begin()) for seed in (1, 1, 2))
    assert same(one, again)
    assert not same(one, other)


def test_it_learns(room, made, begin):
    run = begin()
    fit(room, Config(epochs=40, learning_rate=0.05), made, run)
    assert history(run)[-1]["error"] < 0.5 * history(run)[0]["error"]


def test_every_row_is_seen_once_an_epoch_in_an_order_of_its_own(room, made, begin):
    seen = []
    room.step = lambda network, batch, config: (seen.append(batch["y"][:, 0].tolist()), step(network, batch, config))[1]
    fit(room, Config(epochs=2), made, begin())
    first, second = ([row for batch in seen[start : start + 4] for row in batch] for start in (0, 4))
    assert sorted(first) == sorted(second) == sorted(made.train["y"][:, 0].tolist())
    assert first != second


def test_where_it_focuses_the_rows_not_yet_learnt_are_seen_and_a_share_of_the_others(room, made, begin):
    seen: list[float] = []
    hard = {float(value) for value in made.train["y"][:10, 0]}

    def step(network, batch, config):
        seen.extend(batch["y"][:, 0].tolist())
        weight = torch.tensor([100.0 if value in hard else 1.0 for value in batch["y"][:, 0].tolist()])
        return weight + 0 * network(batch["x"])[:, 0]

    room.step = step
    fit(room, Config(epochs=loop.WHOLE_EPOCHS + 2, focus=0.5), made, begin())
    whole, rest = seen[: ROWS * loop.WHOLE_EPOCHS], seen[ROWS * loop.WHOLE_EPOCHS :]
    assert len(whole) == ROWS * loop.WHOLE_EPOCHS
    for epoch in (rest[:20], rest[20:]):
        assert len(set(epoch)) == 20  # half of the rows, each once
        assert hard <= set(epoch)
    assert set(rest[:20]) != set(rest[20:])


@pytest.mark.parametrize("batch_size", [1000, ROWS, ROWS // 2, ROWS // 3, ROWS // 4, ROWS // 5, 3])
def test_any_batch_size_and_number_of_steps_will_do(room, made, begin, batch_size):
    run = begin()
    fit(room, Config(epochs=1, batch_size=batch_size), made, run)
    assert len(history(run)) == 1


def test_ragged_rows_are_put_with_their_like_and_cut_to_the_longest(room, made, begin):
    lengths = np.arange(ROWS, dtype=np.int64) % 10 + 1
    texts = np.where(np.arange(10) < lengths[:, None], 7, 0)
    train = {**made.train, "text": texts, "length": lengths, "raw": np.array(["a"] * ROWS, object)}
    seen: list[dict[str, torch.Tensor]] = []
    room.step = lambda network, batch, config: (seen.append(batch), step(network, batch, config))[1]
    fit(room, Config(epochs=2, batch_size=8), replace(made, train=train, ragged=Ragged("length", ("text",))), begin())
    assert all(batch["text"].shape[1] == batch["length"].max() for batch in seen)
    assert max(int(batch["length"].max() - batch["length"].min()) for batch in seen) < 5
    first = [sorted(batch["length"].tolist()) for batch in seen[:5]]
    assert sorted(length for batch in first for length in batch) == sorted(lengths.tolist())
    assert first != sorted(first)  # the batches themselves are in no order


def test_a_gradient_is_cut_where_wanted(room, made, begin):
    room.network = lambda config, data: nn.Sequential(nn.Linear(3, 1))
    norms = []
    room.step = lambda network, batch, config: 1e6 * network(batch["x"]).sum(1)
    cut = nn.utils.clip_grad_norm_

    def noted(weights, most):
        norms.append(float(cut(weights, most)))
        return norms[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.utils, "clip_grad_norm_", noted)
        fit(room, Config(epochs=1), made, begin())
        assert not norms
        fit(room, Config(epochs=1, clip=1.0), made, begin())
    assert len(norms) == 4
    assert min(norms) > 1


def test_norms_settle_on_rows_as_they_are_served(room, made, begin):
    export = room.export

    def means(**changes):
        room.export = lambda *asked: replace(export(*asked), **changes)
        return fit(room, Config(epochs=1), made, begin())

    def moved(found):
        return [tensor for name, tensor in found.items() if "running_mean" in name]

    plain, again = moved(means()), moved(means(served=lambda: {"x": made.train["x"]}))
    other = moved(means(served=lambda: {"x": made.train["x"] + 5}))
    assert all(map(torch.equal, plain, again))
    assert not any(map(torch.equal, plain, other))


def test_one_cycle_climbs_to_the_rate_and_ends_near_nothing(room, made, begin):
    run = begin()
    fit(room, Config(epochs=20), made, run)
    rates = [row["learning_rate"] for row in history(run)]
    assert 0.009 < max(rates) <= 0.01
    assert rates.index(max(rates)) in (4, 5)  # a quarter of the way
    assert rates[-1] < 1e-5


def test_the_constant_schedule_is_constant(room, made, begin):
    run = begin()
    fit(room, Config(schedule="constant"), made, run)
    assert {row["learning_rate"] for row in history(run)} == {0.01}


def test_without_averaging_the_last_weights_are_kept(room, made, begin):
    run = begin()
    kept = fit(room, Config(average=False), made, run)
    last = Checkpoint.read(run.folder / CHECKPOINT).tensors
    assert torch.allclose(kept["0.weight"], last["network.0.weight"])


def test_an_average_lies_between_the_weights_it_is_of(room, made, begin):
    run = begin()
    kept = fit(room, Config(epochs=30, schedule="constant"), made, run)["0.weight"]
    last = Checkpoint.read(run.folder / CHECKPOINT).tensors["network.0.weight"]
    assert 0 < (kept - last).abs().max() < 0.1


def test_decay_shrinks_matrices_and_leaves_biases_and_norms(room, made, begin):
    room.network = lambda config, shape: nn.Sequential(nn.Linear(3, 1))
    room.step = lambda network, batch, config: 0 * network(batch["x"]).sum(1)
    torch.manual_seed(3)
    before = room.network(None, None)[0]
    after = fit(room, Config(weight_decay=1.0, average=False, schedule="constant"), made, begin())
    assert torch.allclose(after["0.weight"], before.weight * (1 - 0.01) ** 16)  # rate times decay, for 16 steps
    assert torch.equal(after["0.bias"], before.bias)


def test_norms_end_with_the_statistics_of_rows_as_served(room, made, begin):
    room.network = lambda config, shape: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    kept = fit(room, Config(), made, begin())
    assert np.allclose(kept["0.running_mean"], made.train["x"].mean(0), atol=1e-5)
    assert np.allclose(kept["0.running_var"], made.train["x"].var(0, ddof=1), atol=1e-4)


def test_the_network_it_hands_over_is_ready_to_be_asked(room, made, begin):
    found = loop.fit(room, Config(), made, begin())
    assert not any(module.training for module in found.modules())
    assert all(weight.device.type == "cpu" for weight in found.parameters())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_epoch(room, made, begin, bad):
    steps = []

    def breaks(network, batch, config):
        steps.append(1)
        return step(network, batch, config) * (bad if len(steps) == 7 else 1)

    room.step, run = breaks, begin()
    with pytest.raises(TrainingError, match=r"^The loss became (nan|inf) in epoch 2; try a lower --learning-rate"):
        loop.fit(room, Config(), made, run)
    assert len(history(run)) == 1  # the broken epoch leaves no checkpoint


def test_weights_that_are_no_numbers_stop_the_run(room, made, begin):
    def broken(config, data):
        made = network(config, data)
        nn.init.constant_(made[0].weight, float("nan"))
        return made

    room.network, run = broken, begin()
    with pytest.raises(TrainingError, match="The loss became nan in epoch 1"):
        loop.fit(room, Config(), made, run)
    assert not (run.folder / METRICS).exists()


def test_a_long_epoch_is_looked_at_before_its_end(room, made, begin, monkeypatch):
    monkeypatch.setattr(loop, "CHECK_EVERY", 2)
    steps = []
    room.step = lambda network, batch, config: (steps.append(1), step(network, batch, config) * float("nan"))[1]
    with pytest.raises(TrainingError):
        loop.fit(room, Config(), made, begin())
    assert len(steps) == 2


def test_an_answer_in_parts_is_the_answer(room, made, monkeypatch):
    monkeypatch.setattr(loop, "EVALUATED_ROWS", 7)
    weights = network(None, None)
    predict = loop.predict_with(room, weights, made, Config(), torch.device("cpu"))
    x = made.test["x"]
    assert np.allclose(predict({"x": x})["y"], weights.eval()(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


def test_the_bar_shows_the_running_loss_and_the_last_score_with_rate_and_time_left(room, made, tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    run = Run.begin(tmp_path, "x", {}, console)
    fit(room, Config(epochs=2), made, run)
    shown = [line for line in re.split(r"[\r\n]", console.file.getvalue()) if "training" in line][-1]
    assert re.search(rf"8/8.*\d/s.*left.*epoch 2/2  loss \d+\.\d{{4}}  error {history(run)[-1]['error']:.4f}", shown)


@pytest.fixture
def told(monkeypatch):
    """What the bar is told: (steps, text)."""
    calls = []
    monkeypatch.setattr(Run, "progress", lambda *_: nullcontext(lambda steps, text: calls.append((steps, text))))
    return calls


def test_while_an_epoch_runs_the_score_shown_is_that_of_the_one_before(room, made, begin, told):
    run = begin()
    fit(room, Config(epochs=2), made, run)
    first, last = (f"error {row['error']:.4f}" for row in history(run))
    assert [(steps, text.split("  ")[0], text.split("  ")[2:]) for steps, text in told] == [
        (4, "epoch 1/2", []),
        (0, "epoch 2/2", [first]),
        (4, "epoch 2/2", [first]),
        (0, "epoch 2/2", [last]),
    ]


def test_a_slow_step_is_shown_before_its_epoch_ends(room, made, begin, told, monkeypatch):
    monkeypatch.setattr(loop, "SHOWN_EVERY_S", 0.0)
    fit(room, Config(epochs=1), made, begin())
    assert [steps for steps, _ in told] == [1, 1, 1, 1, 0, 0]
