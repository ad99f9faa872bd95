"""From data to a published version: fit, export, parity, scores of the graph, the gate, publish. Knows no family by name."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors.torch import save
from torch import nn

from service.golden import Arrays
from service.manifest import GOLDEN, NAME, File, Manifest, Training, sha256
from service.manifest import Golden as Recorded
from training import export, learning, loop, place, provenance, publish, report, samples
from training.checkpoint import replace
from training.export import Exported
from training.publish import Verdict
from training.room import Data, Export, Room, Scores, TrainingError
from training.run import METRICS, Run
from training.settings import Settings
from training.sources import Sources

WEIGHTS = "weights.safetensors"
PARITY_ROWS = 256
KEPT = ".json"
"""How files of a drawing end that go into the version: a page draws them again."""
OWN = " --data DIR"
"""How the command to evaluate ends where only the owner has the data."""
_AS_IT_IS: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
"""How a line with somebody's names in it is printed: a name may hold brackets, and a path is copied whole."""


@dataclass(frozen=True)
class Options:
    """What every family's training can be told, beside its own configuration."""

    # The model's name; by default the family's public one, or the name of the `--data` folder or file.
    name: str | None = None
    # Your own data instead of the public one.
    data: Path | None = None
    # A folder that has the public data already.
    data_dir: Path | None = None
    # Where versions are published.
    models_dir: str | None = None
    # Where runs leave their files.
    runs_dir: Path | None = None
    # Go on with the newest unfinished run of these options.
    resume: bool = False
    # Publish even where the gate refuses.
    force: bool = False
    # Whether to publish at all.
    publish: bool = True
    # How far the score may fall below the served version's; the family's own where none is given.
    tolerance: float | None = None
    # Test rows that anybody who opens the model's page may see: 12 of public data, none of your own where not given.
    samples: int | None = None
    # Answer the family's verbs when a request names no model; as the version before where not given.
    default: bool | None = None


@dataclass(frozen=True)
class Outcome:
    """What a training came to. `folder` is None where nothing was published; `refusal` says why the gate refused."""

    run: Path
    manifest: Manifest
    folder: Path | None
    refusal: str


@dataclass(frozen=True)
class Job:
    """What every step of a training needs."""

    family: str
    room: Room
    name: str
    config: Any
    options: Options
    settings: Settings
    data: Data
    run: Run
    code: str
    """Revision of the code, taken before it trains: the files may change meanwhile."""


def train(family: str, room: Room, config: Any, options: Options, console: Console) -> Outcome:
    """The whole way. Raises TrainingError; whatever fails, the repository stays as it was."""
    return finish(begin(family, room, config, options, console))


def finish(job: Job) -> Outcome:
    """From the data on, or from the run's checkpoint. Raises TrainingError."""
    with _reported(job):
        return _trained(job)


def _trained(job: Job) -> Outcome:
    room, config, options, console = job.room, job.config, job.options, job.run.console
    network = loop.fit(room, config, job.data, job.run)
    rows = room.rows(job.data.test, job.data.files)
    replace(job.run.folder / WEIGHTS, save({key: value.contiguous() for key, value in network.state_dict().items()}))
    wanted = room.export(network, job.data, config)
    graphs = export.graphs(wanted, some(rows))
    found = room.evaluate(export.open_graph(**{name: one.graph for name, one in graphs.items()}), rows, job.data.labels)
    pictures = _draw(job, found, rows)
    drawn = {path.name: path.read_bytes() for path in pictures if path.suffix == KEPT}
    shown = samples.file(job.data, found, options.samples, own=options.data is not None)
    files = {one.spec.file: one.graph for one in graphs.values()}
    files |= {GOLDEN: graphs["model"].golden.pack(), **job.data.files, **drawn, **shown}
    draft = _manifest(job, wanted, graphs, (found, files), _training(job, network))
    verdict = _judge(job, draft)
    draft = _settled(job, draft, verdict)
    folder = _publish(job, draft, files) if options.publish and (not verdict.refusal or options.force) else None
    job.run.finish(_summary(draft, found) | {"published": folder, "refused": verdict.refusal})
    _tell(job, draft, pictures)
    if verdict.refusal:
        console.print(f"the gate refuses: {verdict.refusal}", style="yellow", **_AS_IT_IS)
    if folder:
        console.print(f"published {folder}", style="green", **_AS_IT_IS)
    return Outcome(job.run.folder, draft, folder, verdict.refusal)


@contextmanager
def _reported(job: Job) -> Iterator[None]:
    """At the end, whatever it is, the run's report. That it cannot be written costs no version."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            job.run.stopped(str(error) or "it was interrupted")
        raise
    finally:
        try:
            job.run.console.print(f"report {report.write(job.run.folder, {job.family: job.room})}", **_AS_IT_IS)
        except (TrainingError, OSError) as error:
            job.run.console.print(f"no report: {error}", style="yellow", **_AS_IT_IS)


def _summary(draft: Manifest, found: Scores) -> dict[str, Any]:
    """What a report shows of a training that came to its end."""
    kept = draft.model_dump(mode="json", include={"summary", "baselines", "gate", "source", "training"})
    return {**kept, "scores": found.values, "tables": found.tables, "parity": draft.golden.parity}


def some(rows: Arrays) -> Arrays:
    """A few rows from all over: a split may be sorted by label."""
    every = max(1, len(next(iter(rows.values()))) // PARITY_ROWS)
    return {name: array[::every][:PARITY_ROWS] for name, array in rows.items() if array.dtype != object}


def begin(family: str, room: Room, config: Any, options: Options, console: Console, **more: object) -> Job:
    """Data and a run's folder; `more` is what tells such a run from a plain training. Raises TrainingError."""
    code, settings, name = provenance.revision(), _settings(options), _name(room, config, options)
    if options.publish:
        place.check_writable(settings, name)
    data = room.data(config, Sources(options.data, options.data_dir or settings.data_dir, settings.cache_dir, console))
    asked = {"family": family, "name": name, "source": data.source.sha256, **dataclasses.asdict(config), **more}
    run = (Run.resume if options.resume else Run.begin)(settings.runs_dir, name, asked, console)
    run.begun(
        {
            "at": datetime.now(UTC).replace(microsecond=0).isoformat(),
            "command": provenance.command(),
            "code": code,
            "libraries": provenance.libraries(),
            "source": data.source.model_dump(mode="json"),
        }
    )
    console.print(f"{name}: {data.source.name}, {_counts(data.source.rows)}; run {run.folder}", **_AS_IT_IS)
    return Job(
        family,
        room,
        name,
        config,
        options,
        settings,
        room.pretrain(config, data, run, lambda *asked: loop.fit(room, *asked)),
        run,
        code,
    )


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to, and where its pictures are."""

    manifest: Manifest
    found: Scores
    baselines: dict[str, dict[str, float]]
    pictures: list[Path]


def evaluate(name: str, version: int | None, rooms: dict[str, Room], options: Options, console: Console) -> Evaluation:
    """Scores of a published version's graph on the held-out rows that it was never trained on. Raises TrainingError."""
    settings = _settings(options)
    manifest, folder = publish.read(place.repository(settings), name, version)
    if manifest.family not in rooms:
        raise TrainingError(f"{name} is of the family '{manifest.family}'; there are {sorted(rooms)}.")
    room = rooms[manifest.family]
    if manifest.evaluate.endswith(OWN) and not options.data:
        raise TrainingError(f"{name}:{manifest.version} was trained on its owner's data; name that folder with --data.")
    known = {field.name for field in dataclasses.fields(room.Config)}
    config = room.Config(**{key: value for key, value in manifest.training.config.items() if key in known})
    data = room.data(config, Sources(options.data, options.data_dir or settings.data_dir, settings.cache_dir, console))
    if data.labels != manifest.labels or data.preparation != manifest.preparation:
        raise TrainingError(f"{data.source.name} has other labels, or is prepared otherwise, than {name}:{manifest.version}.")
    if data.source.sha256 != manifest.source.sha256:
        console.print(f"these are not the rows it was published with ({manifest.source.name})", style="yellow", **_AS_IT_IS)
    found, rows = _score(room, manifest, folder, data.test)
    runs = settings.runs_dir / name / f"evaluation-{manifest.version}"
    runs.mkdir(parents=True, exist_ok=True)
    pictures = room.draw(found, rows, manifest.labels, runs)
    return Evaluation(manifest, found, room.baselines(data), pictures)


def _settings(options: Options) -> Settings:
    given = {"models_dir": options.models_dir and str(options.models_dir), "runs_dir": options.runs_dir}
    return Settings().model_copy(update={key: value for key, value in given.items() if value is not None})


def _name(room: Room, config: Any, options: Options) -> str:
    data = options.data.resolve() if options.data else None
    own = "" if data is None else data.name.split(".")[0] if data.is_file() else data.name
    public: str = getattr(config, "name", room.name)
    name = options.name or own.lower() or public
    if not NAME.fullmatch(name):
        raise TrainingError(f"The name {name!r} cannot stand in an address; expected a-z, 0-9, - and _, with --name.")
    return name


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in rows.items())


def history(run: Run) -> list[dict[str, float]]:
    """Of all epochs, those of earlier processes included."""
    checkpoint = run.checkpoint()
    history: list[dict[str, float]] = checkpoint.values["history"] if checkpoint else []
    return history


def _score(room: Room, manifest: Manifest, folder: Path, raw: Arrays) -> tuple[Scores, Arrays]:
    """A published version's scores on these rows, and the rows as its graph took them."""
    files = files_of(manifest, folder)
    rows = room.rows(raw, files)
    graphs = {name: files[spec.file] for name, spec in manifest.graphs.items()}
    return room.evaluate(export.open_graph(**graphs), rows, manifest.labels), rows


def files_of(manifest: Manifest, folder: Path) -> dict[str, bytes]:
    """The files of a published version. Raises TrainingError where one is not what was published."""
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    for name, content in files.items():
        if sha256(content) != manifest.files[name].sha256:
            raise TrainingError(f"{folder / name} is not the published file: its SHA-256 is not the manifest's.")
    return files


def _draw(job: Job, found: Scores, rows: Arrays) -> list[Path]:
    pictures = job.room.draw(found, rows, job.data.labels, job.run.folder)
    if epochs := history(job.run):
        pictures = [learning.curves(epochs, job.room.gate, job.run.folder / report.CURVES), *pictures]
    return pictures


def _training(job: Job, network: nn.Module) -> Training:
    return Training(
        config=json.loads(json.dumps(dataclasses.asdict(job.config), default=str)),
        seed=job.config.seed,
        parameters=sum(weight.numel() for weight in network.parameters()),
        seconds=round(sum(job.run.spent().values()) + sum(row["seconds"] for row in history(job.run)), 1),
        epochs=len(history(job.run)) or job.config.epochs,
        finished=datetime.now(UTC).replace(microsecond=0),
        code=job.code,
        libraries=provenance.libraries(),
        command=provenance.command(),
    )


def _manifest(
    job: Job, wanted: Export, graphs: dict[str, Exported], made: tuple[Scores, dict[str, bytes]], training: Training
) -> Manifest:
    """Of the version to be; publishing gives it its number."""
    (found, files), exported = made, graphs["model"]
    own = OWN if job.options.data else ""
    return Manifest(
        name=job.name,
        version=1,
        family=job.family,
        summary=wanted.summary,
        graphs={name: one.spec for name, one in graphs.items()},
        files={file: File(sha256=sha256(content), size_bytes=len(content)) for file, content in files.items()},
        labels=job.data.labels,
        preparation=job.data.preparation,
        golden=Recorded(rows=exported.golden.rows, tolerance=max(1e-4, 10 * exported.parity), parity=exported.parity),
        scores={key: round(value, 6) for key, value in found.values.items()},
        baselines=job.room.baselines(job.data),
        evaluate=f"python -m training evaluate {job.name}:VERSION{own}",
        gate=job.room.gate,
        source=job.data.source,
        statistics=job.room.statistics(job.data) | wanted.statistics(),
        limits=wanted.limits,
        training=training,
    )


def _judge(job: Job, draft: Manifest) -> Verdict:
    tolerance = job.room.tolerance if job.options.tolerance is None else job.options.tolerance
    return publish.judge(
        place.repository(job.settings),
        draft,
        tolerance,
        lambda served, folder: _score(job.room, served, folder, job.data.test)[0],
    )


def _settled(job: Job, draft: Manifest, verdict: Verdict) -> Manifest:
    """The manifest with what only the gate and the version before could tell."""
    default = verdict.default if job.options.default is None else job.options.default
    training = draft.training.model_copy(update={"forced": verdict.refusal if job.options.force else ""})
    return draft.model_copy(update={"parent": verdict.parent, "default": default, "training": training})


def _publish(job: Job, draft: Manifest, files: dict[str, bytes]) -> Path:
    def numbered(version: int) -> Manifest:
        evaluate = draft.evaluate.replace("VERSION", str(version))
        return draft.model_copy(update={"version": version, "evaluate": evaluate})

    return place.put(job.settings, draft.name, files, numbered)


def _tell(job: Job, draft: Manifest, pictures: list[Path]) -> None:
    console, run, tolerance = job.run.console, job.run, job.room.tolerance
    values = "  ".join(f"{key} {value:.4f}" for key, value in draft.scores.items())
    console.print(f"test, ONNX graph  {values}", highlight=False)
    for baseline, reached in draft.baselines.items():
        values = "  ".join(f"{score} {reached[score]:.4f}" for score in job.room.reported if score in reached)
        console.print(f"  beside it: {baseline}  {values}", highlight=False)
        if reached[draft.gate] > draft.scores[draft.gate] + tolerance:
            console.print(f"  the {baseline} is better: this network wants more rows, or more --epochs", style="yellow")
    console.print(
        f"{draft.training.parameters:,} parameters, trained {draft.training.seconds:.0f} s; "
        f"ONNX differs from PyTorch by at most {draft.golden.parity:.2g}"
    )
    console.print(f"run {run.folder}: {METRICS}, {', '.join(path.name for path in pictures)}", **_AS_IT_IS)
