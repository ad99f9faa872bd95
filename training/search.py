"""Hyper-parameters searched on validation rows by Optuna; the best network goes through the same gate. Knows no family by name.

    suggest -> fit, ended early where it falls behind -> suggest … -> the best trial's network -> export, gate, publish

Source: tree-structured Parzen estimators (Bergstra et al. 2011), trials below the median of the others' at the same epoch ended
(Golovin et al. 2017). The first trial is the configuration as given. Test rows are seen once, by the best one. Optuna is the
extra `search`.
"""

import csv
import dataclasses
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import MaxNLocator
from rich.console import Console

from training import loop, pipeline, plots
from training.checkpoint import Checkpoint, replace
from training.pipeline import Job, Options, Outcome
from training.room import Room, Space, Span, TrainingError, searched
from training.run import Run

if TYPE_CHECKING:
    import optuna

JOURNAL, RESULTS, PICTURE = "search.journal", "search.csv", "search.png"
FREE_TRIALS = 3
"""Trials that are never ended early: the median of fewer says little."""
FREE_SHARE = 0.25
"""Of the epochs, before a trial may be ended."""


AROUND = {"learning_rate": (0.2, 4.0), "weight_decay": (0.1, 10.0)}
"""How far from what was given a field is tried, as factors."""
SHARES = {"dropout": 0.6, "word_dropout": 0.4, "label_smoothing": 0.2}
"""The most of shares that are tried."""


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried."""

    number: int
    state: str
    """`complete`; `behind`, where it was ended early; `failed`, where it could not go on."""
    score: float | None
    """The gate's, on validation rows, after its last epoch."""
    epochs: int
    seconds: float
    values: dict[str, Any]
    """What was tried, by field."""


@dataclass(frozen=True)
class Found:
    """What a search came to: its trials, in order; the best one's number; and what publishing that came to."""

    trials: list[Trial]
    best: int
    outcome: Outcome


@dataclass
class _Watched(Run):
    """A trial's run, that tells Optuna of each epoch."""

    trial: "optuna.Trial"
    gate: str

    def record(self, row: dict[str, float], checkpoint: Checkpoint) -> None:
        """As a run does; raises TrialPruned where the trial is behind others."""
        import optuna

        super().record(row, checkpoint)
        self.trial.report(row[self.gate], int(row["epoch"]))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search(family: str, room: Room, config: Any, options: Options, console: Console, trials: int) -> Found:
    """Try `trials` configurations in all, those of an earlier process with `--resume` included, and publish the best.

    Raises TrainingError.
    """
    optuna = _optuna()
    if not 1 <= trials <= 10_000:
        raise TrainingError(f"--trials is {trials}; expected 1 to 10000.")
    job = pipeline.begin(family, room, config, options, console, searched=True)
    tried = space(room, config)
    study = _study(optuna, job, tried)
    before, begun = _finished(study), time.perf_counter()
    while (count := _finished(study)) < trials:
        _try(optuna, study, job, tried)
        _tell(study, job, tried)
        left_s = (time.perf_counter() - begun) / (count + 1 - before) * (trials - count - 1)
        console.print(f"[dim]{count + 1} of {trials} trials, about {left_s / 60:.0f} min left[/dim]", highlight=False)
    done = [_trial(one) for one in study.trials if one.state.is_finished()]
    if not any(one.state == "complete" for one in done):
        raise TrainingError("No trial came to its end; try a lower --learning-rate.")
    best = study.best_trial
    chosen = dataclasses.replace(job, config=_config(job.config, best.params), run=_folder(job, best.number))
    console.print(
        f"the best of {len(done)} is trial {best.number}, {room.gate} {best.value:.4f} on validation rows", style="bold"
    )
    outcome = pipeline.finish(chosen)
    job.run.finish({"trials": len(done), "best": best.number, "run": chosen.run.folder})
    return Found(done, best.number, outcome)


def space(room: Room, config: Any) -> Space:
    """What is tried, by field: around what was given, and what the room itself says."""
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    found: Space = {}
    for name, (below, above) in AROUND.items():
        if isinstance(known.get(name), float) and known[name] > 0:
            found[name] = Span(known[name] * below, known[name] * above, log=True)
    found |= {name: Span(0.0, most) for name, most in SHARES.items() if isinstance(known.get(name), float)}
    if known.get("batch_size"):
        found["batch_size"] = tuple(max(1, round(known["batch_size"] * times)) for times in (0.5, 1, 2))
    return found | searched(room)


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise TrainingError("Optuna is not installed; it is the extra `search`: pip install 'modelyard[search]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, job: Job, tried: Space) -> "optuna.Study":
    """The search, that goes on where an earlier process of this run left it."""
    backend = optuna.storages.journal.JournalFileBackend(str(job.run.folder / JOURNAL))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=job.name,
        sampler=optuna.samplers.TPESampler(seed=job.config.seed, multivariate=False),
        pruner=optuna.pruners.MedianPruner(FREE_TRIALS, max(1, round(FREE_SHARE * job.config.epochs))),
        direction="maximize",
        load_if_exists=True,
    )
    for left in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):  # of a process that was killed
        study.tell(left.number, state=optuna.trial.TrialState.FAIL)
    if not study.trials:
        given = {name: getattr(job.config, name) for name in tried}
        study.enqueue_trial({name: value for name, value in given.items() if _within(tried[name], value)})
    return study  # type: ignore[no-any-return]  # the module is imported where it is needed


def _finished(study: "optuna.Study") -> int:
    return sum(one.state.is_finished() for one in study.get_trials(deepcopy=False))


def _within(span: Span | tuple[Any, ...], value: Any) -> bool:
    return value in span if isinstance(span, tuple) else value is not None and span.least <= value <= span.most


def _try(optuna: Any, study: "optuna.Study", job: Job, tried: Space) -> None:
    """One trial."""
    trial = study.ask()
    values = {name: _suggested(trial, name, span) for name, span in tried.items()}
    shown = "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )
    job.run.console.print(f"trial {trial.number}: {shown}", style="bold", markup=False, highlight=False)
    folder = _folder(job, trial.number)
    run = _Watched(folder.folder, folder.console, trial, job.room.gate)
    begun = time.perf_counter()
    state, score = optuna.trial.TrialState.COMPLETE, None
    try:
        config = _config(job.config, values)
        loop.fit(job.room, config, job.data, run)
        score = _last(run, job.room.gate)
    except optuna.TrialPruned:
        state = optuna.trial.TrialState.PRUNED
    except TrainingError as error:
        state = optuna.trial.TrialState.FAIL
        job.run.console.print(str(error), style="yellow", markup=False, highlight=False)
    trial.set_user_attr("seconds", round(time.perf_counter() - begun, 1))
    study.tell(trial, score, state=state)


def _folder(job: Job, number: int) -> Run:
    return job.run.part(f"trial-{number}")


def _suggested(trial: "optuna.Trial", name: str, span: Span | tuple[Any, ...]) -> Any:
    if isinstance(span, tuple):
        return trial.suggest_categorical(name, span)
    if isinstance(span.least, int) and isinstance(span.most, int):
        return trial.suggest_int(name, span.least, span.most, log=span.log)
    return trial.suggest_float(name, span.least, span.most, log=span.log)


def _config(config: Any, values: dict[str, Any]) -> Any:
    return dataclasses.replace(config, **values)


def _last(run: Run, gate: str) -> float:
    history: list[dict[str, float]] = pipeline.history(run)
    return history[-1][gate]


def _trial(one: "optuna.trial.FrozenTrial") -> Trial:
    names = {"COMPLETE": "complete", "PRUNED": "behind", "FAIL": "failed"}
    reached = one.intermediate_values
    score = one.value if one.value is not None else reached[max(reached)] if reached else None
    return Trial(one.number, names[one.state.name], score, len(reached), one.user_attrs.get("seconds", 0.0), dict(one.params))


def _tell(study: "optuna.Study", job: Job, tried: Space) -> None:
    """The table and the picture so far: who stops a search early has them."""
    done = [_trial(one) for one in study.trials if one.state.is_finished()]
    text = io.StringIO()
    fields = ("trial", "state", job.room.gate, "epochs", "seconds", *tried)
    writer = csv.DictWriter(text, fields)
    writer.writeheader()
    for one in done:
        told = {"trial": one.number, "state": one.state, job.room.gate: one.score, "epochs": one.epochs, "seconds": one.seconds}
        writer.writerow({**told, **one.values})
    replace(job.run.folder / RESULTS, text.getvalue().encode())
    draw(done, job.room.gate, tried, job.run.folder / PICTURE)


def lines(found: Found, gate: str) -> list[dict[str, Any]]:
    """For a table, the best trial first."""
    best_first = sorted(found.trials, key=lambda one: (one.state != "complete", -(one.score or 0)))
    told = ("state", "epochs", "seconds")
    return [
        {"trial": one.number, gate: one.score, **{name: getattr(one, name) for name in told}, **one.values}
        for one in best_first
    ]


def draw(trials: list[Trial], gate: str, tried: Space, path: Path) -> Path:
    """The score of each trial in order with the best so far, and beside each field that was searched."""
    told = [one for one in trials if one.score is not None]
    fields = list(tried)
    columns = 3
    rows = -(-(1 + len(fields)) // columns)
    figure = plots.new(3.6 * columns, 2.9 * rows)
    cells = figure.subplots(rows, columns, squeeze=False).flat
    complete = [one for one in told if one.state == "complete"]
    behind = [one for one in told if one.state != "complete"]
    first = next(cells)
    best, so_far = -float("inf"), []
    for one in complete:
        best = max(best, one.score or best)
        so_far.append(best)
    if so_far:
        steps = [*(one.number for one in complete), max(one.number for one in told)]
        line = [*so_far, so_far[-1]]
        first.step(steps, line, where="post", color=plots.SECOND, linewidth=1.2, label="best so far")
    first.set(xlabel="trial", ylabel=f"{gate}, validation rows")
    first.xaxis.set_major_locator(MaxNLocator(integer=True))
    places = [("trial", first), *zip(fields, cells, strict=False)]
    for name, axes in places:
        span = tried.get(name)
        if isinstance(span, tuple):  # in their order, whichever came first
            axes.plot([str(one) for one in span], [float("nan")] * len(span))
        for some, look, label in ((behind, "x", "ended early"), (complete, "o", "whole")):
            x = [one.number if name == "trial" else one.values[name] for one in some]
            axes.plot([str(one) for one in x] if isinstance(span, tuple) else x, [one.score for one in some],
                      look, color=plots.ACCENT, markersize=4, label=label)  # fmt: skip
        plots.bare(axes)
        if isinstance(span, Span):
            axes.set_xscale("log" if span.log else "linear")
        if name != "trial":
            axes.set(xlabel=name.replace("_", " "))
    first.legend(fontsize=7, frameon=False)
    for axes in cells:
        axes.axis("off")
    best = max(so_far, default=float("nan"))
    said = f"{len(trials)} trials, {len(behind)} of them ended early; the best {gate} is {best:.4f}."
    return plots.save(figure, path, "What each trial of a search reached on validation rows", said)
