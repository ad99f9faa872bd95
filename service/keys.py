"""API keys on disk: who may do what, as a JSON file of digests that nobody but its owner can read.

    python -m service keys --write--> the key file --read at every look--> the service

A key is `mk_<name>_<secret>`: the secret is 32 random bytes, said once and never kept. So many random bits cannot be guessed,
and SHA-256 of them is as good as a slow digest would be. Pure but for its one file: knows no HTTP and no running service.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from service import files

LARGEST_FILE = 2**20
SECRET_BYTES = 32
NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"
WRITTEN = re.compile(rb"mk_([a-z0-9][a-z0-9-]{0,31})_([A-Za-z0-9_-]{43})")
"""A whole key, as clients send it."""

Role = Literal["infer", "metrics", "admin"]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Digest(_Part):
    """Of one secret."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the whole key as it is sent, in hexadecimal."""
    until: AwareDatetime | None = None
    """When it ends, for one that was replaced; None for the one that counts."""


class Key(_Part):
    """What the file says of one key."""

    roles: Annotated[frozenset[Role], Field(min_length=1)]
    """`infer` asks models, `metrics` reads `/metrics`, `admin` may do everything."""
    digests: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=2)]
    created: AwareDatetime
    rate: Rate | None = None
    """Requests a second; None for as many as there are."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests at once; None for a second's worth."""

    def fits(self, digest: bytes, now: datetime) -> bool:
        """Whether a key with this digest is this one. Takes the same time whatever the digest."""
        found = False
        for one in self.digests:
            same = hmac.compare_digest(bytes.fromhex(one.sha256), digest)
            found |= same and (one.until is None or now < one.until)
        return found


class Keys(_Part):
    """All of them, by name."""

    schema_version: Literal[1] = 1
    keys: dict[Annotated[str, Field(pattern=NAME)], Key] = {}

    @model_validator(mode="after")
    def _no_secret_twice(self) -> Self:
        every = [digest.sha256 for key in self.keys.values() for digest in key.digests]
        if len(every) != len(set(every)):
            raise ValueError("the same digest stands there twice")
        return self

    def changed(self, name: str, key: Key | None) -> Self:
        """With another key of this name; None for none."""
        others = {one: other for one, other in self.keys.items() if one != name}
        return type(self)(keys={**others, **({name: key} if key else {})})


def made(name: str) -> tuple[str, Digest]:
    """A new key of that name, and its digest."""
    key = f"mk_{name}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return key, Digest(sha256=digest(key.encode()).hex())


def digest(key: bytes) -> bytes:
    """Of a whole key."""
    return hashlib.sha256(key).digest()


def replaced(key: Key, new: Digest, grace_s: float, now: datetime) -> Key:
    """`key` with a new secret; the one before goes on for `grace_s` seconds."""
    old = next(one for one in reversed(key.digests) if one.until is None)
    kept = (old.model_copy(update={"until": now + timedelta(seconds=grace_s)}),) if grace_s else ()
    return key.model_copy(update={"digests": (*kept, new)})


def read(path: Path) -> Keys:
    """The file. Raises OSError where it cannot be read, ValueError where others can read it or it makes no sense."""
    with path.open("rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is no file")
        if state.st_mode & _others(state):
            raise ValueError(f"its mode is {stat.S_IMODE(state.st_mode):04o}; expected 0600, so that nobody else can read it")
        data = file.read(LARGEST_FILE)
    try:
        return Keys.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"it cannot be understood{' at ' + place if place else ''}: {first['msg']}") from None


def _others(state: os.stat_result) -> int:
    """The bits of a mode that nobody else may have. An orchestrator's secret is root's, and read by way of the group."""
    lent = state.st_uid == 0 != os.geteuid()
    return stat.S_IRWXO | (stat.S_IWGRP | stat.S_IXGRP if lent else stat.S_IRWXG)


def write(path: Path, keys: Keys) -> None:
    """Put the keys in place of those before, whole or not at all, for the owner's eyes only. Raises OSError."""
    files.replace(path, keys.model_dump_json(indent=2, exclude_none=True).encode() + b"\n", 0o600)


def now() -> datetime:
    """By the clock on the wall, as a file needs it that outlives processes."""
    return datetime.now(UTC)
