"""What is served now: versions by model, which of them answers, which is tried, why others are not served.

A table in memory that requests read and `follower` writes, on the event loop's thread alone. Knows versions and models; knows
no HTTP, no family by name, and nothing of the disk.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from service.errors import InvalidInput, ServiceError, Unavailable, UnknownModel, UnknownVersion, shown
from service.family import Room, Verb
from service.manifest import VERSION
from service.model import Model
from service.policy import Policy
from service.repository import Found
from service.trial import Trial

log = logging.getLogger("modelyard.registry")
State = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass(frozen=True)
class Refused:
    """A version that is on disk and failed its checks."""

    found: Found
    reason: str
    when: float


@dataclass
class Entry:
    """What is known of one model."""

    policy: Policy = field(default_factory=Policy)
    trouble: str = ""
    """Why its policy cannot be followed."""
    found: dict[int, Found] = field(default_factory=dict)
    """On disk."""
    served: dict[int, tuple[Found, Model]] = field(default_factory=dict)
    refused: dict[int, Refused] = field(default_factory=dict)
    loading: set[int] = field(default_factory=set)
    trial: Trial | None = None
    held: int | None = None
    """The version that answers, unless it is time for `switch`."""
    switch: tuple[int, Callable[[], bool]] | None = None
    """The version that answers from when on all workers follow it, and whether they do."""

    @property
    def answering(self) -> int | None:
        """The version that answers now where a request names none."""
        if self.switch and self.switch[1]():
            self.held, self.switch = self.switch[0], None
        return self.held

    def newest_first(self) -> list[Model]:
        """Those that are served."""
        return [model for _, (_, model) in sorted(self.served.items(), reverse=True)]

    def silence(self, name: str) -> str:
        """Why no version answers."""
        if self.trouble:
            return f"Model '{name}' is not served: {self.trouble}."
        if self.policy.unloaded:
            return f"Model '{name}' is unloaded."
        if self.loading:
            return f"Model '{name}' is being loaded."
        wanted = self.policy.pinned
        for version, refused in sorted(self.refused.items(), reverse=True):
            if wanted in (None, version):
                return f"No version of '{name}' is served: {version} was refused because {refused.reason}."[:500]
        return f"Version {wanted} of '{name}' is pinned and not there; there are {sorted(self.found, reverse=True)[:20]}."

    def states(self) -> dict[int, tuple[State, str]]:
        """Every version that is served or on disk: its state, and why it is not served."""
        told: dict[int, tuple[State, str]] = {}
        for version in sorted({*self.found, *self.served, *self.refused}, reverse=True):
            refused = self.refused.get(version)
            if version in self.served:
                told[version] = ("READY", f"a newer file was refused: {refused.reason}" if refused else "")
            elif version in self.loading:
                told[version] = ("LOADING", "")
            else:
                told[version] = ("UNAVAILABLE", refused.reason if refused else self._idle())
        return told

    def _idle(self) -> str:
        if self.trouble:
            return self.trouble
        if self.policy.unloaded:
            return "unloaded"
        if self.policy.named:
            return f"not among the versions named by the policy, {list(self.policy.named)}"
        return f"older than the newest versions that are served, {sorted(self.served, reverse=True)[:20]}"


class Registry:
    """The served versions by name and number."""

    def __init__(self, rooms: Mapping[str, Room]) -> None:
        self.rooms = rooms
        self.entries: dict[str, Entry] = {}
        self.draining = False
        self._first_look = asyncio.Event()

    # asked by requests

    def models(self) -> dict[str, list[Model]]:
        """Served versions by name, newest first."""
        return {name: found for name, entry in sorted(self.entries.items()) if (found := entry.newest_first())}

    def refused(self) -> list[Refused]:
        """Versions on disk that failed their checks, and why."""
        return [one for _, entry in sorted(self.entries.items()) for _, one in sorted(entry.refused.items())]

    def not_ready(self) -> str | None:
        """Why this process should get no requests now; None when it should."""
        if self.draining:
            return "The service is shutting down."
        if not self.looked:
            return "The service is loading its models."
        return next((m.dead for versions in self.models().values() for m in versions if m.dead), None)

    def provider(self, chosen: str) -> str:
        """Where graphs run: what was chosen at start, `cpu` once a served version runs there."""
        return "cpu" if any(m.provider == "cpu" for versions in self.models().values() for m in versions) else chosen

    def get(self, name: str, version: str | None = None) -> Model:
        """The version of `name` that answers, or the one asked for. Raises Unknown…, InvalidInput or Unavailable."""
        entry = self.entries.get(name)
        if entry is None:
            raise self._unknown(name)
        if version is None:
            if entry.answering is None:
                raise Unavailable(entry.silence(name))
            return entry.served[entry.answering][1]
        if not VERSION.fullmatch(version):
            raise InvalidInput(f"Parameter 'version' is {shown(version)}; expected a whole number from 1.")
        if int(version) not in entry.served:
            raise self._not_served(name, entry, int(version))
        return entry.served[int(version)][1]

    def trial(self, model: Model, version: str | None) -> Trial | None:
        """What is tried beside `model`, where a request did not name its version."""
        entry = self.entries.get(model.name)
        trial = entry.trial if entry and version is None else None
        return trial if trial and trial.answering is model else None

    def chosen(self, family: str, name: str | None, version: str | None, verb: Verb | None = None) -> Model:
        """The model that a typed request names, or the one that answers its family's verbs. Raises where it cannot answer."""
        found = self.answering(family, verb) if name is None else self.get(name, version)
        if found.room is not self.rooms[family]:
            raise InvalidInput(f"Model {shown(name)} is of the family '{found.manifest.family}'; expected '{family}'.")
        if name is None and version is not None:
            found = self.get(found.name, version)
        if verb and not verb.suits(found.manifest):
            able = [one.name for one in self._of(family) if verb.suits(one.manifest)]
            raise InvalidInput(
                f"Model '{found.name}' (version {found.version}) does not answer '/v1/{verb.name}'; expected one of {able}."
            )
        return found

    def answering(self, family: str, verb: Verb | None = None) -> Model:
        """The model that answers a family's verbs, or `verb`, where a request names none. Raises unless it is just one."""
        all_of_them = self._of(family)
        candidates = [one for one in all_of_them if verb is None or verb.suits(one.manifest)]
        if not candidates:
            if not self.looked:
                raise Unavailable("The service is loading its models.")
            does = f" that answers '/v1/{verb.name}'" if verb and all_of_them else ""
            raise UnknownModel(f"No model of the family '{family}'{does} is served.")
        candidates = [one for one in candidates if verb and verb.prefers(one.manifest)] or candidates
        chosen = [m for m in candidates if m.manifest.default] if len(candidates) > 1 else candidates
        if len(chosen) == 1:
            return chosen[0]
        raise InvalidInput(f"Parameter 'model' is missing; expected one of {[m.name for m in candidates]}.")

    def _of(self, family: str) -> list[Model]:
        """The version that answers of each of a family's models."""
        return [
            found
            for _, entry in sorted(self.entries.items())
            if entry.answering and (found := entry.served[entry.answering][1]).room is self.rooms[family]
        ]

    def _unknown(self, name: str) -> ServiceError:
        if not self.looked:
            return Unavailable("The service is loading its models.")
        return UnknownModel(f"Model {shown(name)} is not served; served are {list(self.models())[:20]}.")

    @staticmethod
    def _not_served(name: str, entry: Entry, version: int) -> ServiceError:
        if version in entry.loading:
            return Unavailable(f"Version {version} of '{name}' is being loaded.")
        state = entry.states().get(version)
        reason = f" ({state[1]})" if state and state[1] else ""
        return UnknownVersion(
            f"Version {version} of '{name}' is not served{reason}; served are {sorted(entry.served, reverse=True)[:20]}."[:600]
        )

    # told by the follower

    @property
    def looked(self) -> bool:
        """Whether the repository was looked at, so that what is there is served."""
        return self._first_look.is_set()

    def has_looked(self) -> None:
        """The repository was looked at."""
        self._first_look.set()

    async def first_look(self, limit_s: float) -> None:
        """Wait until `looked`, `limit_s` seconds at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_look.wait(), limit_s)
