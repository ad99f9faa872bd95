"""Publishing on a failing disk: the k-th call fails, or is the process's last, for every k; then the next one publishes.

Whatever happens, the repository holds the versions that were there, whole, and perhaps the new one, whole; what else is left
bears a name that the service passes over, and the next publisher takes it away. A service answers from that repository all the
while. The same for the file of a model's policy.
"""

import json
import shutil
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from service import model, policy, repository
from service.family import rooms
from service.manifest import GOLDEN, MANIFEST, Manifest
from service.policy import Policy
from service.repository import BrokenVersion
from service.settings import Settings
from tests.conftest import light_golden, light_graph, write_version
from tests.drills.client import asked
from tests.drills.failing import KINDS, Faults, Kind, contexts
from tests.drills.figures import Figure, Ground

ANYWHERE = False
NAME = "light"
FILES = {"model.onnx": light_graph(), GOLDEN: light_golden().pack()}
MOST = 200
"""Calls of one publisher, at most: more would mean that none is ever left alone."""
ASIDE = {"publish": ".incoming-", "policy": f".{policy.FILE}-"}
UNTOUCHED, TOLD = 0, 3
"""How a publisher ends: no fault was reached; it was, and one line says what happened."""


@dataclass(frozen=True)
class Writer:
    """What a child process does to the repository."""

    what: str
    models: Path
    manifest: bytes
    plant: str
    """Python that is run before: for a publisher of another kind."""

    def __call__(self, kind: Kind, at: int, calls: Path | None = None) -> None:
        """With the `at`-th call spoiled; the calls are written to `calls`."""
        from training import publish  # with it comes torch, which only the children need
        from training.room import TrainingError

        exec(self.plant, {})
        faults = Faults(kind, at, str(self.models)).plant()
        draft = Manifest.model_validate_json(self.manifest)
        try:
            if self.what == "policy":
                newest = 3 - (policy.read(self.models / NAME, Policy()).newest or 1)
                policy.change(self.models / NAME, Policy(), newest=newest)
            else:
                publish.publish(
                    self.models, NAME, FILES, lambda version: draft.model_copy(update={"version": version, "sha256": None})
                )
        except (TrainingError, OSError) as error:
            sys.exit(TOLD if "\n" not in str(error) else 1)
        finally:
            if calls:
                calls.write_text(json.dumps(faults.calls))
        sys.exit(TOLD if faults.reached else UNTOUCHED)


@dataclass
class Found:
    """What came of all tries of one writer."""

    tries: int = 0
    points: int = 0
    """Calls that an untouched one makes."""
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def figure(self, what: str) -> Figure:
        """Of the table."""
        states = ", ".join(f"{state} {count}" for state, count in sorted(self.states.items()))
        said = f"{len(self.wrong)} of {self.tries} ({states})" + "".join(f"; {one}"[:300] for one in self.wrong[:1])
        ok = not self.wrong and self.tries > len(KINDS)
        return Figure(
            f"{what}, every one of its {self.points} calls: neither old nor new, or in the way of the next", "0", said, ok
        )


def drill(ground: Ground, kinds: tuple[Kind, ...] = KINDS, every: int = 1) -> list[Figure]:
    """Faults of these kinds at every k, or every `every`-th."""
    publisher = begun(ground.folder / "models")
    order = out_of_order(replace(publisher, models=ground.folder / "new" / "models"), ground.folder / "calls.json")
    service = ground.start(models_dir=publisher.models, reload_s=0.1, access_log=False, max_batch=1)
    with asked(service) as answers:
        published = tried(publisher, kinds, every)
        changed = tried(replace(publisher, what="policy"), kinds, every)
    up = service.process.poll() is None
    service.process.kill()
    service.process.wait()
    failed = sum(count for said, count in answers.items() if " by " not in said)
    return [
        published.figure("publishing"),
        changed.figure("changing a policy"),
        Figure("on disk before it is renamed, the manifest last, the folder after", "in order", order or "in order", not order),
        Figure(
            "a service on that repository",
            "up, answers failed 0",
            f"{'up' if up else 'ENDED'}, answers failed {failed} of {answers.total()}"
            + "".join(f"; {count} {said}" for said, count in answers.items() if " by " not in said),
            ok=up and not failed and answers.total() > 0,
        ),
    ]


def begun(models: Path, plant: str = "") -> Writer:
    """A publisher to a new repository with one version; `plant` makes it another kind of publisher."""
    write_version(models, NAME)
    return Writer("publish", models, (models / NAME / "1" / MANIFEST).read_bytes(), plant)


def _ended(writer: Writer, kind: Kind, at: int, calls: Path | None = None) -> int | None:
    process = contexts.Process(target=writer, args=(kind, at, calls))
    process.start()
    process.join(60)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode


def tried(writer: Writer, kinds: tuple[Kind, ...], every: int = 1) -> Found:
    """Every fault, and after each of them another one without."""
    found = Found()
    for kind in kinds:
        for at in range(1, MOST, every):
            _leave(writer)
            before = _state(writer.models)
            code = _ended(writer, kind, at)
            found.tries += 1
            if fault := _judged(writer, before, code, kind):
                found.wrong.append(f"{kind} at {at}: {fault}")
            found.states[_outcome(before, _state(writer.models), code)] += 1
            if code == UNTOUCHED:
                found.points = max(found.points, at - 1)
                break
            if fault := _next(writer):
                found.wrong.append(f"after {kind} at {at}: {fault}")
            if found.wrong:  # what is tried on a spoiled repository says nothing
                return found
            _thin(writer.models)
    return found


def _leave(writer: Writer) -> None:
    """What one that was killed leaves, so that there is something to take away, and to fail at."""
    left = writer.models / NAME / f"{ASIDE[writer.what]}left"
    if writer.what == "publish":
        left.mkdir(exist_ok=True)
        left /= MANIFEST
    left.write_bytes(writer.manifest)


def _state(models: Path) -> dict[str, bytes]:
    """Every file that is not set aside, by its path."""
    paths = (path for path in (models / NAME).rglob("*") if path.is_file())
    shown = (path for path in paths if not path.relative_to(models / NAME).parts[0].startswith("."))
    return {str(path.relative_to(models)): path.read_bytes() for path in shown}


def _outcome(before: dict[str, bytes], after: dict[str, bytes], code: int | None) -> str:
    how = {UNTOUCHED: "untouched", TOLD: "told", -signal.SIGKILL: "killed"}.get(code or 0, f"ended with {code}")
    return f"{how}, {'old' if before == after else 'new'}"


def _judged(writer: Writer, before: dict[str, bytes], code: int | None, kind: Kind) -> str:
    """What is wrong with the repository; empty where it is the old one, or that and the new version."""
    if code not in (UNTOUCHED, TOLD, -signal.SIGKILL if kind.startswith("killed") else TOLD):
        return f"ended with {code}"
    after = _state(writer.models)
    if writer.what == "policy":
        return _other_policy(writer.models, before, after)
    if changed := [path for path, data in before.items() if after.get(path) != data]:
        return f"{changed[0]} is another"
    number = max(int(Path(path).parts[1]) for path in before if path.count("/") == 2) + 1
    folders = {path.name for path in (writer.models / NAME).iterdir() if not path.name.startswith(".")}
    if more := folders - {Path(path).parts[1] for path in before} - {str(number)}:
        return f"there is {more}"
    if str(number) in folders:
        return _unsound(writer.models, number)
    return ""


def _other_policy(models: Path, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    if {path for path in {*before, *after} if before.get(path) != after.get(path)} - {f"{NAME}/{policy.FILE}"}:
        return "more than the policy changed"
    try:
        policy.read(models / NAME, Policy())
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _unsound(models: Path, number: int) -> str:
    """Why a version cannot be served."""
    found = next((one for one in repository.scan(models) if one.version == number), None)
    if not found:
        return f"{number} has no manifest"
    try:
        model.load(repository.read(found), rooms(), "cpu", Settings(max_batch=1))
    except BrokenVersion as error:
        return f"{number}: {error}"
    return ""


def _next(writer: Writer) -> str:
    """What keeps the next one from its work."""
    before = _state(writer.models)
    if code := _ended(writer, "full", 0):
        return f"the next one ended with {code}"
    if _state(writer.models) == before:
        return "the next one did nothing"
    left = [path.name for path in (writer.models / NAME).iterdir() if path.name.startswith(ASIDE[writer.what])]
    return f"{left} is left" if left else ""


def _thin(models: Path) -> None:
    """The newest two stay."""
    for one in [one for one in repository.scan(models) if one.name == NAME][:-2]:
        gone = one.folder.rename(models.parent / "gone")
        shutil.rmtree(gone)


def out_of_order(writer: Writer, calls: Path) -> str:
    """What is out of order in the calls of a publisher that nothing happens to; empty where nothing is."""
    _ended(writer, "full", 0, calls)
    made = [(name, path) for name, path in json.loads(calls.read_text())]
    last = {one: place for place, one in enumerate(made)}
    first = {one: place for place, one in reversed(list(enumerate(made)))}
    renames = [place for place, (name, path) in enumerate(made) if name == "rename" and ".incoming-" in path]
    if len(renames) != 1:
        return f"{len(renames)} folders renamed"
    aside, model_folder = made[renames[0]][1], str(writer.models / NAME)
    manifest = f"{aside}/{MANIFEST}"
    never = len(made)
    steps = [
        *(((("write", f"{aside}/{file}"), last), (("fsync", f"{aside}/{file}"), first)) for file in (*FILES, MANIFEST)),
        *(((("fsync", f"{aside}/{file}"), last), (("open", manifest), first)) for file in FILES),
        ((("fsync", manifest), last), (("fsync", aside), last)),
        ((("fsync", aside), last), (("rename", aside), last)),
        ((("rename", aside), last), (("fsync", model_folder), last)),
        ((("mkdir", model_folder), last), (("fsync", str(writer.models)), last)),
    ]  # fmt: skip
    for (one, where), (other, there) in steps:
        if not where.get(one, never) < there.get(other, never) < never:
            return f"{one[0]} of {Path(one[1]).name} is not before {other[0]} of {Path(other[1]).name}"
    return ""
