"""Where versions are: a folder, or an address that is kept in step with one. Knows `publish` and the service's mirror."""

from collections.abc import Callable, Mapping
from pathlib import Path

from service.manifest import Manifest
from service.mirror import Mirror, MirrorError
from training import publish
from training.room import TrainingError
from training.settings import Settings


def repository(settings: Settings) -> Path:
    """The folder with every version as it is now. Raises TrainingError."""
    if settings.is_remote:
        _refresh(settings)
    return settings.repository


def check_writable(settings: Settings, name: str) -> None:
    """Raises TrainingError where a version could not be published."""
    if not settings.is_remote:
        publish.check_writable(settings.repository, name)
        return
    try:
        Mirror(settings.models_dir, settings.repository).check_writable(name)
    except MirrorError as error:
        raise TrainingError(f"{error}.") from error


def put(settings: Settings, name: str, files: Mapping[str, bytes], draft: Callable[[int], Manifest]) -> Path:
    """Publish a version; its folder here. `draft(version)` makes its manifest. Raises TrainingError."""
    if not settings.is_remote:
        return publish.publish(settings.repository, name, files, draft)
    try:
        version = Mirror(settings.models_dir, settings.repository).publish(name, files, lambda number: draft(number).dump())
    except MirrorError as error:
        raise TrainingError(f"{error}; nothing was published.") from error
    _refresh(settings)
    return settings.repository / name / str(version)


def _refresh(settings: Settings) -> None:
    """What is there, here. A repository that is still empty is none that is gone."""
    try:
        mirror = Mirror(settings.models_dir, settings.repository)
        if not mirror.is_empty():
            mirror.refresh()
    except (MirrorError, OSError) as error:
        raise TrainingError(f"{error}.") from error
