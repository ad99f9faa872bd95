"""Who may ask for what: API keys with roles and rates, the names that this server answers to, and what is noted of admin calls.

Denies by default: a path that is not listed here wants a key, whether there is anything at it or not. Knows the key file and
the service's paths; knows no HTTP library and no model.
"""

import asyncio
import fcntl
import hmac
import logging
import math
import mmap
import os
import re
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from service import files, keys
from service.errors import Forbidden, MisdirectedRequest, ServiceError, TooManyRequests, Unauthorized, shown
from service.keys import Key, Keys, Role
from service.settings import Settings, shared_folder

LOOKED_EVERY_S = 1.0
PUBLIC = re.compile(r"/|/docs|/status|/openapi\.json|/play/[^/]*|/web/.*|/v2/health/(live|ready)", re.DOTALL)
"""What GET and HEAD get without a key: pages, which hold nothing but how to ask, and what a load balancer asks."""
HEALTH = re.compile(r"/v2/health/(live|ready)")
METRICS = "/metrics"
ADMIN = re.compile(
    r"/v2/repository/models/.*|/v2/logging|/v2/(models/[^/]*/)?trace/setting|/v2/(system|cuda)sharedmemory.*", re.DOTALL
)
"""What anything but GET and HEAD needs the role for: what changes the service, or would."""
READING = ("GET", "HEAD")
NOBODY = bytes(32)
"""A digest that no key has."""

audit = logging.getLogger("modelyard.audit")
audit.setLevel(logging.INFO)  # whatever the level of the rest

Headers = Mapping[bytes, bytes]


def needed(method: str, path: str) -> Role | None:
    """The role that a request needs; None for one that is for everybody."""
    if method in READING and PUBLIC.fullmatch(path):
        return None
    if path == METRICS:
        return "metrics"
    return "admin" if method not in READING and ADMIN.fullmatch(path) else "infer"


class Bucket:
    """How fast a key may ask: the generic cell rate algorithm, on one number that all workers share.

    Source: ITU-T I.371. The number is when the next request would be exactly in time, in seconds of the monotonic clock.
    """

    def __init__(self, file: Path | None) -> None:
        """In `file`, which is made where there is none; in this process alone for None. Raises OSError."""
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600) if file else None
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 8)
        self._due = mmap.mmap(-1 if self._descriptor is None else self._descriptor, 8)

    def wait_s(self, rate: float, burst: int, now: float) -> float:
        """0.0, and one more request is counted; or the seconds until one may come."""
        if self._descriptor is None:
            return self._wait_s(rate, burst, now)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            return self._wait_s(rate, burst, now)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _wait_s(self, rate: float, burst: int, now: float) -> float:
        due: float = struct.unpack("d", self._due[:])[0]
        due = min(max(due, now), now + burst / rate)  # a rate that was raised counts at once
        early_s = due - now - (burst - 1) / rate
        if early_s > 1e-9:
            return early_s
        self._due[:] = struct.pack("d", due + 1 / rate)
        return 0.0


class Guard:
    """Of one process. `open` where there is no key file: then everybody may everything."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError and ValueError where the key file cannot be used."""
        self._path, self._hosts = settings.keys, settings.allowed_hosts
        self._folder = shared_folder()
        self._buckets: dict[str, Bucket] = {}
        self._stamp = files.stamp(self._path) if self._path else None
        self._held = keys.read(self._path) if self._path else Keys()
        self.open = self._path is None

    # who

    def allow(self, name: str, key: Key, role: Role) -> None:
        """Raises Forbidden and TooManyRequests where this key may not, or not yet."""
        if role not in key.roles and "admin" not in key.roles:
            raise Forbidden(f"The key {shown(name)} has the roles {sorted(key.roles)}; this needs {role!r}.")
        if key.rate:
            self._count(name, key, key.rate)

    def key(self, authorization: bytes | None) -> tuple[str, Key]:
        """The valid key in this header, and its name. Raises Unauthorized."""
        scheme, _, sent = (authorization or b"").partition(b" ")
        found = keys.WRITTEN.fullmatch(sent.strip()) if scheme.lower() == b"bearer" else None
        if not found:
            raise Unauthorized("This needs an API key; expected the header 'Authorization: Bearer mk_…'.")
        name, digest = found[1].decode(), keys.digest(found[0])
        key = self._held.keys.get(name)
        if key is None:
            hmac.compare_digest(NOBODY, digest)  # so that a name's existence is not told by the time it takes
        elif key.fits(digest, keys.now()):
            return name, key
        raise Unauthorized("The API key is not valid; it may have been revoked or rotated.")

    def _count(self, name: str, key: Key, rate: float) -> None:
        burst = key.burst or max(1, math.ceil(rate))
        if name not in self._buckets:
            if self._folder:
                self._folder.mkdir(exist_ok=True)
            self._buckets[name] = Bucket(self._folder / f"rate-{name}" if self._folder else None)
        wait_s = self._buckets[name].wait_s(rate, burst, time.monotonic())
        if wait_s:
            raise TooManyRequests(
                f"The key {shown(name)} allows {rate:g} requests a second, {burst} at once.", math.ceil(wait_s)
            )

    # where

    def answers_to(self, host: bytes | None) -> bool:
        """Whether this server goes by the name in the header Host."""
        if self._hosts is None:
            return True
        name = re.sub(rb":[0-9]{0,5}$", b"", host or b"").lower()
        return name in self._hosts

    def elsewhere(self, path: str, host: bytes | None) -> ServiceError | None:
        """What is said where this server does not go by that name. A prober asks for health by whatever it has."""
        if self.answers_to(host) or HEALTH.fullmatch(path):
            return None
        named = shown((host or b"").decode("latin-1"))
        return MisdirectedRequest(f"The header Host is {named}, which is no name of this server; MODELYARD_HOSTS lists them.")

    # what

    @staticmethod
    def told(method: str, path: str, key: str, status: int) -> None:
        """Note an admin call in the audit log, allowed or not."""
        if needed(method, path) == "admin":
            fields = {"key": key, "method": method, "path": path[:200], "status": status}
            audit.info("admin call", extra={"fields": fields})

    # the file

    async def follow(self) -> None:
        """Look at the file again and again."""
        while True:
            await asyncio.sleep(LOOKED_EVERY_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take the file's keys where it changed. One that cannot be used is told in the log, and the keys before stay."""
        if self._path is None or (stamp := files.stamp(self._path)) == self._stamp:
            return
        self._stamp, before = stamp, self._held
        try:
            self._held = keys.read(self._path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            audit.error("the key file cannot be used, the keys before stay", extra={"fields": {"reason": reason}})
            return
        changed = {
            name
            for name, key in {**before.keys, **self._held.keys}.items()
            if before.keys.get(name) != self._held.keys.get(name)
        }
        audit.info("the keys changed", extra={"fields": {"changed": sorted(changed), "keys": len(self._held.keys)}})


def refusal(guard: Guard, method: str, path: str, headers: Headers) -> tuple[str, ServiceError | None]:
    """The name of the key that came with a request, "" where none did or was needed; and why it is not taken, if it is not.

    That the host is known was seen before.
    """
    name = ""
    try:
        if not guard.open and (role := needed(method, path)):
            name, key = guard.key(headers.get(b"authorization"))
            guard.allow(name, key, role)
    except ServiceError as error:
        return name, error
    return name, None


def closed(settings: Settings) -> str:
    """Why the service does not begin to listen: no keys where others can reach it, or keys that cannot be used."""
    if settings.keys is None:
        if settings.is_loopback or settings.open:
            return ""
        return (
            f"MODELYARD_HOST is '{settings.host}', which others can reach, and there are no keys; expected MODELYARD_KEYS, "
            "a file that `python -m service keys add` makes, or MODELYARD_OPEN=true to let everybody in."
        )
    try:
        keys.read(settings.keys)
    except OSError as error:
        return f"MODELYARD_KEYS is '{settings.keys}', which cannot be read: {error.strerror}."
    except ValueError as error:
        return f"MODELYARD_KEYS is '{settings.keys}', which cannot be used: {error}."
    return ""
