"""Which versions of a model are served, which one answers, and which one is tried: `models/<name>/policy.json`.

    commands, load and unload --write--> models/<name>/policy.json --read at every look--> the service

Where there is no file the newest good version answers. Pure but for its one file: knows no model, no HTTP, no running service.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service import files

FILE = "policy.json"
LARGEST_FILE = 64 * 1024

Number = Annotated[int, Field(ge=1, le=999_999_999)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Budget(_Part):
    """What a trial may cost before it ends by itself."""

    errors: Share = 0.01
    """Of the candidate's requests, those that fail or give NaN."""
    disagreement: Share = 0.05
    """Of the compared answers, those that say something else."""
    slower: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0
    """The candidate's 99th percentile of time in the model over that of the version that answers."""
    least: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Requests before shares mean anything: what would break the budget among so many breaks it at once."""


class Plan(_Part):
    """A version that is tried on real requests."""

    kind: Literal["shadow", "canary"]
    """`shadow` gets copies of requests and answers nobody; `canary` answers a share of them."""
    version: Number
    percent: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    budget: Budget = Budget()


class Policy(_Part):
    """What an operator wants of one model."""

    schema_version: Literal[1] = 1
    newest: Number | None = None
    """How many of the newest good versions are served; None as the setting says."""
    named: tuple[Number, ...] = ()
    """Just these versions are served, if any are named."""
    pinned: Number | None = None
    """The version that answers; None for the newest good one of those served."""
    before: Number | None = None
    """The version that answered before the last change: where a rollback goes. Kept loaded."""
    unloaded: bool = False
    """Whether nothing of the model is served."""
    trial: Plan | None = None
    ended: str = ""
    """Why the last trial ended by itself."""

    @model_validator(mode="after")
    def _a_trial_is_of_another_version(self) -> Self:
        if self.trial and self.pinned in (None, self.trial.version):
            raise ValueError("while a version is tried, another one must be pinned")
        return self

    def always(self) -> frozenset[int]:
        """Versions that are served in any case, if they are good."""
        named = (self.pinned, self.before, self.trial.version if self.trial else None)
        return frozenset(version for version in (*self.named, *named) if version)

    def answering(self, good: frozenset[int]) -> int | None:
        """Which of the `good` versions answers where a request names none."""
        if self.pinned:
            return self.pinned if self.pinned in good else None
        return max(good & frozenset(self.named) if self.named else good, default=None)

    def changed(self, **fields: object) -> Self:
        """With other values of these fields, checked."""
        return type(self).model_validate({**self.model_dump(), **fields})


def read(model: Path, unwritten: Policy) -> Policy:
    """Of the model whose folder this is; `unwritten` where there is no file.

    Raises ValueError where the file cannot be understood, OSError where it cannot be read.
    """
    try:
        data = files.read(model / FILE, LARGEST_FILE)
    except FileNotFoundError:
        return unwritten
    try:
        return Policy.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{FILE}{' at ' + place if place else ''}: {first['msg']}") from error


def write(model: Path, policy: Policy) -> None:
    """Put the policy in place of the one before, whole or not at all; whoever writes has locked the folder. Raises OSError."""
    files.replace(model / FILE, policy.model_dump_json(indent=2, exclude_defaults=True).encode() + b"\n", 0o644)


def change(model: Path, unwritten: Policy, **fields: object) -> Policy:
    """Write other values of a policy's fields. Raises OSError and ValueError."""
    with files.locked(model):
        after = read(model, unwritten).changed(**fields)
        write(model, after)
    return after
