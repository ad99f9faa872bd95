"""Series as they are: ETTh1, or a table of the user's own with a column of times. Checked, whole or not at all.

Knows files, times and gaps; knows neither windows nor networks.
"""

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.manifest import Source
from service.series import LARGEST
from training.room import Sources, TrainingError
from training.sources import SEPARATORS, fingerprint

Fill = Literal["none", "previous", "linear", "zero"]
ETT_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
ETT_MONTHS = (12, 4, 4)
"""Of training, validation and test, 30 days each, as the literature cuts it (Zhou et al. 2021, "Informer")."""
SEASONS = {"s": (60,), "min": (1_440, 60), "h": (24,), "d": (7,), "w": (52,), "mo": (12,), "y": (1,)}
"""Units of the seasons to expect, the longer first, by the unit of the frequency."""
LONGEST_SEASON = 288
"""Steps: a day in steps of five minutes."""
STEPS_S = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
MOST_GAPS = 10_000_000
"""Steps that may be missing in all, before the times are taken for wrong."""


@dataclass(frozen=True)
class Corpus:
    """What a source holds: one or several series of the same columns, each without a gap."""

    series: list[NDArray[np.float32]]
    """(time, columns) each"""
    columns: tuple[str, ...]
    frequency: str
    season: int
    name: str
    size_bytes: int
    digest: list[bytes]
    note: str
    borders: tuple[int, int, int] | None = None
    """Ends of the training, validation and test steps, where the source has its own."""

    def source(self, rows: dict[str, int]) -> Source:
        """For the manifest."""
        return fingerprint(self.name, self.digest, rows, self.note).model_copy(update={"size_bytes": self.size_bytes})


def ett(origin: Sources, target: tuple[str, ...]) -> Corpus:
    """ETTh1, hourly (Zhou et al. 2021): all seven columns, or those named."""
    (data,) = origin.public("ett").values()
    unknown = [name for name in target if name not in ETT_COLUMNS]
    if unknown:
        raise TrainingError(f"ETTh1 has no column {unknown[0]!r}; it has {', '.join(ETT_COLUMNS)}.")
    columns = target or ETT_COLUMNS
    table = pd.read_csv(BytesIO(data))
    first, second, third = np.cumsum(ETT_MONTHS) * 30 * 24
    return Corpus(
        series=[table[list(columns)].to_numpy(np.float32)],
        columns=columns,
        frequency="1h",
        season=24,
        name="ETTh1",
        size_bytes=len(data),
        digest=[data],
        note="Zhou et al. 2021, Informer; CC BY-ND 4.0",
        borders=(int(first), int(second), int(third)),
    )


@dataclass(frozen=True)
class Asked:
    """Which columns of a table are which; `target` may be empty for every column of numbers."""

    time: str
    target: tuple[str, ...]
    series: str | None
    fill: Fill


def own(path: Path, asked: Asked) -> Corpus:
    """A `.csv` or `.tsv` with a header. Raises TrainingError naming the file, the row and what was expected."""
    if path.suffix.lower() not in SEPARATORS or not path.is_file():
        raise TrainingError(f"{path} is no .csv or .tsv file; expected a table with a column of times.")
    data = path.read_bytes()
    table = _table(path, data)
    columns = _columns(path, table, asked)
    groups = [("", table)] if asked.series is None else list(table.groupby(asked.series, sort=True))
    series, frequencies = [], set()
    for name, part in groups:
        where = f"{path}, series {name!r}" if asked.series else str(path)
        values, frequency = _regular(where, part, columns, asked)
        series.append(values)
        frequencies.add(frequency)
    if len(frequencies) > 1:
        raise TrainingError(f"{path}: the series have the frequencies {', '.join(sorted(frequencies))}; expected the same.")
    (frequency,) = frequencies
    return Corpus(
        series=series,
        columns=columns,
        frequency=frequency,
        season=_season(frequency),
        name=path.name,
        size_bytes=len(data),
        digest=[hashlib.sha256(data).digest()],
        note="the user's own table",
    )


def _season(frequency: str) -> int:
    """Steps of the longest season to expect that is a whole number of steps and not too many; 1 for none."""
    unit = frequency.lstrip("0123456789")
    count = int(frequency.removesuffix(unit))
    return next((one // count for one in SEASONS[unit] if one % count == 0 and one // count <= LONGEST_SEASON), 1)


def _table(path: Path, data: bytes) -> "pd.DataFrame":
    try:
        table = pd.read_csv(
            BytesIO(data), sep=SEPARATORS[path.suffix.lower()], dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as a table in UTF-8: {' '.join(str(error).split())}.") from error
    table = table.fillna("")  # rows that are cut short
    table.index = table.index + 2  # the row of the file: the header is the first
    if not len(table):
        raise TrainingError(f"{path} has no rows under its header.")
    return table


def _columns(path: Path, table: "pd.DataFrame", asked: Asked) -> tuple[str, ...]:
    """The columns to forecast: those named, or all that are numbers."""
    has = ", ".join(map(str, table.columns))
    for option, name in (
        ("--time-column", asked.time),
        ("--series-column", asked.series),
        *(("--target", one) for one in asked.target),
    ):
        if name is not None and name not in table.columns:
            raise TrainingError(f"{path} has no column {name!r} ({option}); it has {has}.")
    if len(set(asked.target)) < len(asked.target):
        raise TrainingError(f"--target names a column twice: {', '.join(asked.target)}.")
    if asked.target:
        return asked.target
    rest = [str(name) for name in table.columns if name not in (asked.time, asked.series)]
    numbers = [name for name in rest if _mostly_numbers(table[name])]
    if not numbers:
        raise TrainingError(f"{path} has no column of numbers beside {asked.time!r}; it has {has}.")
    return tuple(numbers)


def _mostly_numbers(column: "pd.Series[str]") -> bool:
    filled = column[~_blank(column)]
    return len(filled) > 0 and bool(pd.to_numeric(filled, errors="coerce").notna().mean() > 0.5)


def _blank(column: "pd.Series[str]") -> "pd.Series[bool]":
    return column.str.strip().str.lower().isin(("", "nan", "na", "null", "none"))


def _regular(where: str, table: "pd.DataFrame", columns: tuple[str, ...], asked: Asked) -> tuple[NDArray[np.float32], str]:
    """Values (time, columns) at every step, and the frequency."""
    times = _times(where, table[asked.time])
    later = times.diff().dropna()
    if (bad := later[later <= pd.Timedelta(0)]).size:
        row = bad.index[0]
        raise TrainingError(
            f"{where}, row {row}: {table[asked.time][row]!r} is not after the row before; expected times that rise."
        )
    if len(times) < 3:
        raise TrainingError(f"{where} has {len(times)} rows; expected at least 3.")
    frequency, places = _places(where, times, table[asked.time])
    values = np.full((int(places[-1]) + 1, len(columns)), np.nan)
    values[places] = np.stack([_numbers(where, table, name) for name in columns], 1)
    missing = np.isnan(values)
    if missing.any() and asked.fill == "none":
        raise TrainingError(
            f"{where}{_hole(table, columns, asked, places, missing)}; --fill previous, linear or zero treats them."
        )
    if missing.any():
        values = _filled(values, asked.fill)
    return values.astype(np.float32), frequency


def _times(where: str, written: "pd.Series[str]") -> "pd.Series[Any]":
    forms = ("%Y",) if written.str.fullmatch(r"\d{4}").all() else ("ISO8601", "%Y%m%d", "%b-%d-%Y", "mixed")
    for form in forms:
        try:
            times = pd.to_datetime(written, format=form)
        except (ValueError, TypeError, OverflowError):
            continue
        if times.notna().all():  # an empty cell is no time
            return times
    for row, one in written.items():
        if not one.strip() or pd.isna(pd.to_datetime(one, errors="coerce")):
            raise TrainingError(f"{where}, row {row}: the time is {one!r}; expected one such as 2018-06-01 12:00.")
    raise TrainingError(f"{where}: the times are written in several ways; expected one, such as 2018-06-01 12:00.")


def _places(where: str, times: "pd.Series[Any]", written: "pd.Series[str]") -> tuple[str, NDArray[np.int64]]:
    """The frequency, and how many steps after the first each row is."""
    months = (times.dt.year * 12 + times.dt.month).to_numpy(np.int64)
    between = np.diff(months)
    days = times.dt.day.to_numpy()
    ends = times.dt.is_month_end.to_numpy()
    if (len(set(days)) == 1 or ends.all()) and between.min() >= 1 and bool((times.dt.time == times.dt.time.iloc[0]).all()):
        step = int(np.gcd.reduce(between))
        frequency = f"{step // 12}y" if step % 12 == 0 else f"{step}mo"
        return frequency, (months - months[0]) // step
    seconds = (times - times.iloc[0]).dt.total_seconds().to_numpy().round().astype(np.int64)
    step = int(pd.Series(np.diff(seconds)).mode()[0])  # the commonest, of several the shortest
    uneven = np.flatnonzero(seconds % max(1, step))
    if step < 1 or len(uneven):
        row = written.index[uneven[0] if len(uneven) else 1]
        raise TrainingError(
            f"{where}, row {row}: {written[row]!r} is not a whole number of steps of {step} s after the first row; "
            "expected a regular frequency."
        )
    if seconds[-1] // step > len(seconds) + MOST_GAPS:
        raise TrainingError(
            f"{where}: {len(seconds)} rows span {seconds[-1] // step} steps of {step} s; expected a regular frequency."
        )
    unit = next(unit for unit in ("w", "d", "h", "min", "s") if step % STEPS_S[unit] == 0)
    return f"{step // STEPS_S[unit]}{unit}", seconds // step


def _numbers(where: str, table: "pd.DataFrame", name: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where a cell is empty or says that it is."""
    blank = _blank(table[name])
    numbers = pd.to_numeric(table[name].mask(blank), errors="coerce")
    wrong = numbers.isna() & ~blank | (numbers.abs() > LARGEST)
    if wrong.any():
        row = wrong.idxmax()
        raise TrainingError(f"{where}, row {row}: {name} is {table[name][row]!r}; expected a number of at most {LARGEST:g}.")
    found: NDArray[np.float64] = numbers.to_numpy(np.float64)
    return found


def _hole(
    table: "pd.DataFrame", columns: tuple[str, ...], asked: Asked, places: NDArray[np.int64], missing: NDArray[np.bool_]
) -> str:
    """Where the first missing value is, and how many there are."""
    empty, lacking = missing[places], int(missing.any(1).sum())
    total = f"{lacking} of {len(missing)} steps lack a value"
    if empty.any():
        row, column = np.argwhere(empty)[0]
        return f", row {table.index[row]}: {columns[column]} is empty; {total}"
    row = table.index[int(np.flatnonzero(np.diff(places) > 1)[0]) + 1]
    return f", row {row}: {table[asked.time][row]!r} comes after a gap; {total}"


def _filled(values: NDArray[np.float64], how: Fill) -> NDArray[np.float64]:
    frame = pd.DataFrame(values)
    if how != "zero":
        frame = (frame.interpolate() if how == "linear" else frame.ffill()).bfill()
    filled: NDArray[np.float64] = frame.fillna(0.0).to_numpy()
    return filled
