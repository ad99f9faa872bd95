"""What a drill finds, and what it is run against. Knows no drill.

A drill is a module beside this one with `drill(ground, …) -> list[Figure]`: it hurts a service in one way and says by figures what
came of that. Its other arguments make it shorter, for tests; their defaults are those of the table in docs/drills.md. `ANYWHERE` says
whether it can be run against a service that runs already, of which it knows the address only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Process


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    what: str
    aim: str
    reached: str
    """With its unit, as it stands in the table."""
    ok: bool
    """Whether the aim is met."""


@dataclass(frozen=True)
class Ground:
    """Where a drill takes place."""

    start: Callable[..., Process]
    """Starts a service of its own with settings in words; it is killed when all is over."""
    folder: Path
    """Empty, for what the drill writes."""
    url: str = ""
    """A service that runs already and is drilled in place of an own one, where the drill can."""
    key: str = ""
    """An API key of that one, for `Authorization: Bearer …`."""
