"""Where a version comes from, and what is different between two. Pure: knows manifests only."""

from typing import Any

from service.manifest import Manifest

PASSED_OVER = ("files", "golden.parity", "training.finished", "training.seconds", "sha256", "statistics", "version")
"""What differs between any two versions, or is too long to read."""
LONGEST = 200
"""Characters of a value that a difference shows."""


def lineage(manifest: Manifest) -> dict[str, Any]:
    """Data, recipe, code and outcome of one version, and the version it followed."""
    training = manifest.training
    return {
        "version": manifest.version,
        "parent": manifest.parent,
        "source": manifest.source.model_dump(),
        "config": training.config,
        "seed": training.seed,
        "code": training.code,
        "libraries": training.libraries,
        "command": training.command,
        "forced": training.forced,
        "finished": training.finished.isoformat(),
        "scores": manifest.scores,
        "evaluate": manifest.evaluate,
    }


def difference(one: Manifest, other: Manifest) -> dict[str, Any]:
    """What changed from `one` to `other`: scores with how much, every other field by its path, files by digest."""
    scores = {
        name: {"from": one.scores.get(name), "to": other.scores.get(name), "change": _change(one, other, name)}
        for name in {**one.scores, **other.scores}
        if one.scores.get(name) != other.scores.get(name)
    }
    before, after = (_flat(manifest.public()) for manifest in (one, other))
    fields = [
        {"field": path, "from": _short(before.get(path)), "to": _short(after.get(path))}
        for path in {**before, **after}
        if before.get(path) != after.get(path) and not path.startswith("scores.")
    ]
    return {
        "from": one.version,
        "to": other.version,
        "scores": scores,
        "fields": fields,
        "files": sorted(name for name in {*one.files, *other.files} if one.files.get(name) != other.files.get(name)),
    }


def _change(one: Manifest, other: Manifest, name: str) -> float | None:
    if name in one.scores and name in other.scores:
        return round(other.scores[name] - one.scores[name], 9)
    return None


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields by their paths, such as `training.config.epochs`."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if path in PASSED_OVER:
            continue
        if isinstance(inner, dict):
            found |= _flat(inner, f"{path}.")
        else:
            found[path] = inner
    return found


def _short(value: object) -> object:
    text = str(value)
    return value if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
