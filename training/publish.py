"""A finished version into the repository: the gate, then files, digests, the manifest last, one rename. Knows no network.

    models/<name>/.incoming-…/model.onnx golden.npz … manifest.json  --rename-->  models/<name>/<version>/

A reader sees the whole version or none of it; whatever fails, what was there stays. Two publishers at once get two numbers.
A publisher holds a lock on its folder; a folder that nobody holds was left by one that was killed, and the next one removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from service.manifest import MANIFEST, NAME, VERSION, Manifest
from training.room import Scores, TrainingError


@dataclass(frozen=True)
class Verdict:
    """The gate's: `refusal` is empty where the version may be published; `default` is what the parent's manifest says."""

    refusal: str
    parent: int | None
    default: bool = False


def versions(models_dir: Path, name: str) -> list[int]:
    """Numbers of the complete versions of a model, ascending."""
    folder = models_dir / name
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if VERSION.fullmatch(path.name) and (path / MANIFEST).is_file())


def read(models_dir: Path, name: str, version: int | None = None) -> tuple[Manifest, Path]:
    """The manifest and folder of a version, the newest where none is named. Raises TrainingError."""
    found = versions(models_dir, name) if NAME.fullmatch(name) else []
    if not found or (version is not None and version not in found):
        wanted = name if version is None else f"{name}:{version}"
        raise TrainingError(f"{wanted} is not in {models_dir}; there are {_all(models_dir) or 'no models'}.")
    folder = models_dir / name / str(version or found[-1])
    try:
        return Manifest.read(folder), folder
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder / MANIFEST} cannot be read: {' '.join(str(error).split())[:200]}.") from error


def _all(models_dir: Path) -> str:
    if not models_dir.is_dir():
        return ""
    names = [path.name for path in sorted(models_dir.iterdir()) if NAME.fullmatch(path.name)]
    return ", ".join(f"{name}:{version}" for name in names for version in versions(models_dir, name))


def judge(
    models_dir: Path,
    candidate: Manifest,
    tolerance: float,
    evaluate: Callable[[Manifest, Path], Scores],
) -> Verdict:
    """May `candidate` follow the newest version? That one is scored on the candidate's own test rows by `evaluate`."""
    found = versions(models_dir, candidate.name)
    if not found:
        return Verdict("", None)
    parent, default = found[-1], False
    try:
        served, folder = read(models_dir, candidate.name, parent)
        default = served.default
        refusal = _compare(served, folder, candidate, tolerance, evaluate)
    except (TrainingError, OSError) as error:  # of the old version: that must not cost the new one its training
        refusal = f"{candidate.name}:{parent} cannot be compared with: {error}"
    return Verdict(refusal, parent, default)


def _compare(
    served: Manifest, folder: Path, candidate: Manifest, tolerance: float, evaluate: Callable[[Manifest, Path], Scores]
) -> str:
    """Why `candidate` may not follow `served`; empty where it may."""
    if served.family != candidate.family:
        return f"{served.name}:{served.version} is of the family '{served.family}', this is '{candidate.family}'"
    if served.labels != candidate.labels or served.graph.inputs != candidate.graph.inputs:
        return f"its labels or inputs are not those of {served.name}:{served.version}, so clients would break"
    before = evaluate(served, folder).values[candidate.gate]
    now = candidate.scores[candidate.gate]
    if not now >= before - tolerance:  # so that a NaN is refused
        return (
            f"its {candidate.gate} is {now:.4f}, that of {served.name}:{served.version} is {before:.4f} on the same rows, "
            f"and it may be at most {tolerance:g} lower"
        )
    return ""


def check_writable(models_dir: Path, name: str) -> None:
    """Raises TrainingError where a version could not be written: better known before an hour of training than after."""
    folder = next(folder for folder in (models_dir / name, *(models_dir / name).absolute().parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise TrainingError(f"{folder} cannot be written: {error.strerror}.") from error


def publish(models_dir: Path, name: str, files: Mapping[str, bytes], draft: Callable[[int], Manifest]) -> Path:
    """Write a version and return its folder. `draft(version)` makes its manifest. Raises TrainingError."""
    model = models_dir / name
    try:
        _make(model)
        with _aside(model) as aside:
            for file, data in files.items():
                _write(aside / file, data)
            aside.chmod(0o755)  # mkdtemp makes it for its owner alone; the service may be another user
            folder = _rename(model, aside, lambda version: draft(version).dump())
    except OSError as error:
        raise TrainingError(f"{model} cannot be written: {error.strerror}; nothing was published.") from error
    try:
        _sync(model)
    except OSError as error:
        raise TrainingError(f"{folder} is published, but might not outlive a power cut: {error.strerror}.") from error
    return folder


def _make(folder: Path) -> None:
    """A folder that outlives a power cut, with those above it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync(one.parent)


@contextmanager
def _aside(model: Path) -> Iterator[Path]:
    """A folder to write a version to. It is gone in the end, if it was not renamed, and so are those that nobody holds."""
    with _opened(model) as whole:
        if _locked(whole, fcntl.LOCK_EX):  # until the new folder is held: nobody must take it for a left one
            _sweep(model)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=model))
        try:
            held = os.open(aside, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _locked(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(held)


def _sweep(model: Path) -> None:
    """Remove what killed publishers left."""
    for left in model.glob(".incoming-*"):
        with suppress(OSError), _opened(left) as descriptor:
            if _locked(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(left, ignore_errors=True)


def _locked(descriptor: int, how: int) -> bool:
    """Whether the lock is ours; not where somebody else has it, nor on a file system without locks."""
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        return False
    return True


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _rename(model: Path, aside: Path, manifest: Callable[[int], bytes]) -> Path:
    """Give the folder the next free number; the manifest says the number, so it is written anew for each try."""
    taken = [int(path.name) for path in model.iterdir() if VERSION.fullmatch(path.name)]
    version = max(taken, default=0) + 1
    while True:
        _write(aside / MANIFEST, manifest(version))
        _sync(aside)
        folder = model / str(version)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.exists():  # not a number taken meanwhile, but a real failure
                raise
            version += 1
        else:
            return folder


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        path.chmod(0o644)  # whatever the umask: the service may be another user
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    with _opened(folder) as descriptor:
        os.fsync(descriptor)
