"""Windows of a series as a graph takes them, and the times that steps stand for: once, for both sides.

Knows numbers and dates; knows no file, no HTTP and no network.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

LARGEST = 1e30
"""Magnitude of a value."""
FREQUENCY = re.compile(r"([1-9][0-9]{0,4})?(s|min|h|d|w|mo|y)", re.ASCII)
UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
MONTHS = {"mo": 1, "y": 12}


@dataclass(frozen=True)
class Frequency:
    """The time from one step to the next: seconds, or months of whatever length."""

    seconds: int = 0
    months: int = 0

    @classmethod
    def parse(cls, written: str) -> "Frequency":
        """From `15min`, `1h`, `d`, `1mo` and the like. Raises ValueError."""
        found = FREQUENCY.fullmatch(written)
        if found is None:
            raise ValueError("expected a number and one of s, min, h, d, w, mo or y, such as 15min")
        count, unit = int(found[1] or 1), found[2]
        return cls(months=count * MONTHS[unit]) if unit in MONTHS else cls(seconds=count * UNITS[unit])

    def after(self, start: datetime, steps: int) -> datetime:
        """The time `steps` after `start`; of a month that is too short, its last day. Raises OverflowError, ValueError."""
        if not self.months:
            return start + timedelta(seconds=self.seconds * steps)
        months = start.year * 12 + start.month - 1 + self.months * steps
        year, month = divmod(months, 12)
        for day in range(start.day, 27, -1):
            try:
                return start.replace(year=year, month=month + 1, day=day)
            except ValueError:
                if day == 28:
                    raise
        return start.replace(year=year, month=month + 1)


class Preparation(BaseModel):
    """How a model's windows are cut, as its manifest says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[str, ...] = Field(min_length=1)
    target: str
    """The column that a series without a name is."""
    context: int = Field(ge=1)
    horizon: int = Field(ge=1)
    least: int = Field(ge=1)
    """Steps of the shortest window that is taken; what is missing in front is filled with its seasons."""
    season: int = Field(ge=1)
    independent: bool
    """Whether each column is forecast from itself alone, so that some of the columns may be left out."""
    quantiles: tuple[float, ...]
    frequency: str = ""
    """Of the steps, such as `1h` or `1mo`; empty where it is not known."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.target not in self.columns:
            raise ValueError(f"target is {self.target!r}; expected one of {self.columns}")
        if self.least > self.context:
            raise ValueError(f"least is {self.least}, longer than the context of {self.context}")
        if self.frequency:
            Frequency.parse(self.frequency)
        return self


@dataclass(frozen=True)
class Asked:
    """A series as a client sent it, checked: finite numbers, columns of one length."""

    values: NDArray[np.float64]
    """(time, columns)"""
    names: tuple[str, ...] | None = None
    """Of the columns; None where they were sent without."""
    flat: bool = False
    """Whether it was one column without a name."""
    horizon: int | None = None
    start: datetime | None = None
    """The time of its first step."""
    frequency: Frequency | None = None


def window(values: NDArray[Any], context: int, season: int) -> NDArray[np.float32]:
    """The last `context` steps of `values` (time, columns); in front of fewer they are repeated, in whole seasons."""
    missing = context - len(values)
    if missing > 0:
        repeated = len(values) // season * season or len(values)
        values = np.concatenate([values[np.arange(-missing, 0) % repeated], values])  # each of its own phase
    return np.ascontiguousarray(values[-context:], np.float32)
