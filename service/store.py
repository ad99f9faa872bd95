"""The repository as the service sees it: a folder, brought up to date where it lies elsewhere, and policies, written there too.

Knows settings, folders, policies and the mirror; no model is opened here, and nothing of HTTP.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from service import files, policy, repository
from service.errors import Unavailable
from service.mirror import Mirror, MirrorError
from service.policy import Policy
from service.repository import Found
from service.settings import Settings

log = logging.getLogger("modelyard.store")


class Store:
    """Of one process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises MirrorError where nothing here can read such an address."""
        self._settings, self._clock = settings, clock
        self._mirror = Mirror(settings.models_dir, settings.repository) if settings.is_remote else None
        self._fetched, self._away = clock() - settings.remote_s, ""
        self.look_s = 0.0
        """Of a processor, that the last look took."""

    def folder(self, name: str) -> Path:
        """Of a model."""
        return self._settings.repository / name

    def unwritten(self, name: str) -> Policy:
        """What holds for a model while nothing is written of it."""
        return Policy(pinned=self._settings.pins.get(name))

    def look(self) -> tuple[list[Found], set[str]]:
        """As `repository.look`, after what is new elsewhere was fetched. Raises OSError."""
        self._fetch()
        begun = time.thread_time()
        found = repository.look(self._settings.repository)
        self.look_s = time.thread_time() - begun
        return found

    def refresh(self) -> None:
        """Bring what is new in a repository elsewhere, now. Raises MirrorError and OSError."""
        if self._mirror:
            self._mirror.refresh()

    def remove(self, name: str, version: int) -> None:
        """Delete a version where the repository is elsewhere. Raises MirrorError."""
        if self._mirror:
            self._mirror.remove(name, version)

    def _fetch(self) -> None:
        """Bring what is new in a repository elsewhere; what keeps it from that is told once."""
        if self._mirror is None or self._clock() - self._fetched < self._settings.remote_s:
            return
        away = ""
        try:
            self.refresh()
        except (MirrorError, OSError) as error:
            away = str(error)
        self._fetched = self._clock()
        if away and away != self._away:
            log.error("%s; what is here stays", away)
        elif self._away and not away:
            log.info("the repository can be reached again")
        self._away = away

    def change(self, name: str, **fields: object) -> Policy:
        """Write a policy with other values of these fields.

        Raises Unavailable where it cannot be read or written, ValidationError where these values do not go together.
        """
        try:
            if self._mirror:
                return self._mirror.change_policy(name, self.unwritten(name), **fields)
            return policy.change(self.folder(name), self.unwritten(name), **fields)
        except MirrorError as error:
            raise Unavailable(f"{error}.") from error
        except ValidationError:
            raise
        except OSError as error:
            raise Unavailable(f"The policy of '{name}' cannot be written: {error.strerror}.") from error
        except ValueError as error:
            raise Unavailable(f"The policy of '{name}' cannot be read: {error}.") from error

    def end(self, name: str, plan: policy.Plan, said: str) -> None:
        """Write that a trial ended, unless another one is planned by now. Raises OSError, ValueError, MirrorError."""
        with files.locked(self.folder(name)):
            before = policy.read(self.folder(name), self.unwritten(name))
            ends = before.trial == plan
            if ends and not self._mirror:
                policy.write(self.folder(name), before.changed(trial=None, ended=said))
        if ends and self._mirror:
            self._mirror.change_policy(name, before, trial=None, ended=said)
