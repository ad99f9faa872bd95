"""What is served now, and how that follows the repository. Knows versions and models; knows no HTTP and no family.

One task looks at the repository, loads what is new in a thread, swaps it in between two turns of the event loop and drains
what it replaces. A version that cannot be served is refused with a reason and tried again later or when it changes; the
versions served before stay.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from service import metrics, model, repository
from service.errors import InvalidInput, Unavailable, UnknownModel, UnknownVersion, shown
from service.family import Room, Verb
from service.graph import Provider
from service.manifest import VERSION
from service.model import Model
from service.repository import BrokenVersion, Found
from service.settings import Settings

log = logging.getLogger("modelyard.registry")


@dataclass(frozen=True)
class Refused:
    """A version that is on disk and not served."""

    found: Found
    reason: str
    when: float


class Registry:
    """The served versions by name and number."""

    def __init__(
        self,
        settings: Settings,
        rooms: Mapping[str, Room],
        provider: Provider,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._rooms, self._provider, self._clock = settings, rooms, provider, clock
        self._served: dict[str, dict[int, tuple[Found, Model]]] = {}
        self._refused: dict[tuple[str, int], Refused] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._first_look = asyncio.Event()
        self.draining = False
        self._trouble = ""

    # asked by requests

    def models(self) -> dict[str, list[Model]]:
        """Served versions by name, newest first."""
        return {
            name: [served for _, (_, served) in sorted(versions.items(), reverse=True)]
            for name, versions in sorted(self._served.items())
        }

    def refused(self) -> list[Refused]:
        """Versions on disk that are not served, and why."""
        return [refused for _, refused in sorted(self._refused.items())]

    def not_ready(self) -> str | None:
        """Why this process should get no requests now; None when it should."""
        if self.draining:
            return "The service is shutting down."
        if not self.looked:
            return "The service is loading its models."
        return next((m.dead for versions in self.models().values() for m in versions if m.dead), None)

    def get(self, name: str, version: str | None = None) -> Model:
        """The newest served version of `name`, or the one asked for. Raises Unknown… or Unavailable."""
        versions = self._served.get(name)
        if not versions:
            raise self._missing(name)
        if version is None:
            return versions[max(versions)][1]
        if not VERSION.fullmatch(version):
            raise InvalidInput(f"Parameter 'version' is {shown(version)}; expected a whole number from 1.")
        if int(version) not in versions:
            raise UnknownVersion(
                f"Version {int(version)} of '{name}' is not served; served are {sorted(versions, reverse=True)}."
            )
        return versions[int(version)][1]

    def chosen(self, family: str, name: str | None, version: str | None, verb: Verb | None = None) -> Model:
        """The model that a typed request names, or the one that answers its family's verbs. Raises where it cannot answer."""
        model = self.answering(family, verb) if name is None else self.get(name, version)
        if model.room is not self._rooms[family]:
            raise InvalidInput(f"Model {shown(name)} is of the family '{model.manifest.family}'; expected '{family}'.")
        found = self.get(model.name, version)
        if verb and not verb.suits(found.manifest):
            able = [one.name for one in self._newest(family) if verb.suits(one.manifest)]
            raise InvalidInput(
                f"Model '{found.name}' (version {found.version}) does not answer '/v1/{verb.name}'; expected one of {able}."
            )
        return found

    def answering(self, family: str, verb: Verb | None = None) -> Model:
        """The model that answers a family's verbs, or `verb`, where a request names none. Raises unless it is just one."""
        newest = self._newest(family)
        candidates = [one for one in newest if verb is None or verb.suits(one.manifest)]
        if not candidates:
            if not self.looked:
                raise Unavailable("The service is loading its models.")
            does = f" that answers '/v1/{verb.name}'" if verb and newest else ""
            raise UnknownModel(f"No model of the family '{family}'{does} is served.")
        candidates = [one for one in candidates if verb and verb.prefers(one.manifest)] or candidates
        chosen = [m for m in candidates if m.manifest.default] if len(candidates) > 1 else candidates
        if len(chosen) == 1:
            return chosen[0]
        raise InvalidInput(f"Parameter 'model' is missing; expected one of {[m.name for m in candidates]}.")

    def _newest(self, family: str) -> list[Model]:
        """The newest version of each of a family's models."""
        return [versions[0] for versions in self.models().values() if versions[0].room is self._rooms[family]]

    def _missing(self, name: str) -> Exception:
        if not self.looked:
            return Unavailable("The service is loading its models.")
        for (refused_name, version), refused in sorted(self._refused.items(), reverse=True):
            if refused_name == name:
                return Unavailable(f"No version of '{name}' is served: {version} was refused because {refused.reason}."[:500])
        return UnknownModel(f"Model {shown(name)} is not served; served are {sorted(self._served)[:20]}.")

    # the repository

    @property
    def looked(self) -> bool:
        """Whether the repository was looked at, so that what is there is served."""
        return self._first_look.is_set()

    async def first_look(self, limit_s: float) -> None:
        """Wait until `looked`, `limit_s` seconds at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first_look.wait(), limit_s)

    async def follow(self) -> None:
        """Look at the repository, again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # the edge of the task: logged, and the next look may succeed
                log.exception("a look at the repository failed")
            await asyncio.sleep(self._settings.reload_s)

    async def look(self) -> None:
        """One look: load what is new, drop what is gone."""
        try:
            found = await asyncio.to_thread(repository.scan, self._settings.models_dir)
        except OSError as error:
            self._say(f"the repository cannot be read ({error.strerror}); what is served stays")
            self._first_look.set()
            return
        self._say("")
        on_disk: dict[str, list[Found]] = {}
        for one in reversed(found):
            on_disk.setdefault(one.name, []).append(one)
        for key in set(self._refused) - {(one.name, one.version) for one in found}:
            del self._refused[key]
        for name in sorted({*on_disk, *self._served}):
            await self._settle(name, on_disk.get(name, []))
        self._first_look.set()

    def _say(self, trouble: str) -> None:
        """Log a repository that cannot be read once, not at every look."""
        if trouble and trouble != self._trouble:
            log.error(trouble)
        self._trouble = trouble

    async def _settle(self, name: str, newest_first: list[Found]) -> None:
        """Serve the newest good versions of one model, no more than wanted; drop the others."""
        keep: set[int] = set()
        for found in newest_first:
            if len(keep) < self._settings.versions and await self._serve(found):
                keep.add(found.version)
        for version in set(self._served.get(name, {})) - keep:
            self._drop(name, version)
        if name in self._served and not self._served[name]:
            del self._served[name]

    async def _serve(self, found: Found) -> bool:
        """Whether a version is served now, loading it where it is new or changed."""
        served = self._served.get(found.name, {}).get(found.version)
        if served and served[0] == found:
            return True
        refused = self._refused.get((found.name, found.version))
        if refused and refused.found == found and self._clock() - refused.when < self._settings.retry_s:
            return served is not None
        fields = {"model": found.name, "version": found.version}
        try:
            loaded = await asyncio.to_thread(self._load, found)
            await loaded.start(self._settings)
        except BrokenVersion as error:
            if not refused or refused.reason != str(error):
                log.error("version refused: %s", error, extra={"fields": fields})  # noqa: TRY400 - the reason is the whole story
            self._refused[found.name, found.version] = Refused(found, str(error), self._clock())
            metrics.LOADS.labels(found.name, "refused").inc()
            return served is not None
        self._refused.pop((found.name, found.version), None)
        self._served.setdefault(found.name, {})[found.version] = (found, loaded)
        if served:
            self._close(served[1])
        metrics.LOADS.labels(found.name, "served").inc()
        metrics.VERSION.labels(found.name).set(max(self._served[found.name]))
        log.info("version served", extra={"fields": fields})
        return True

    def _load(self, found: Found) -> Model:
        return model.load(repository.read(found), self._rooms, self._provider, self._settings)

    def _drop(self, name: str, version: int) -> None:
        _, dropped = self._served[name].pop(version)
        self._close(dropped)
        log.info("version no longer served", extra={"fields": {"model": name, "version": version}})
        metrics.VERSION.labels(name).set(max(self._served[name], default=0))

    def _close(self, old: Model) -> None:
        task = asyncio.create_task(old.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Drain every version."""
        self.draining = True
        for name, versions in list(self._served.items()):
            for version in list(versions):
                self._drop(name, version)
        await asyncio.gather(*self._closing)
