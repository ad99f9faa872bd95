"""Tables of series, as somebody may have them."""

import hashlib

import numpy as np
import pytest
from rich.console import Console

from training import series, sources
from training.room import TrainingError
from training.series import Asked
from training.sources import PublicData, PublicFile, Sources

HOURS = "date,a,b\n" + "".join(f"2018-01-01 {hour:02}:00:00,{hour},{10 * hour}\n" for hour in range(24))


def asked(time="date", target=(), series=None, fill="none"):
    return Asked(time, target, series, fill)


def own(tmp_path, content, name="sales.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return series.own(path, asked(**options))


def table(times, values=None):
    values = values or range(len(times))
    return "date,a\n" + "".join(f"{time},{value}\n" for time, value in zip(times, values, strict=True))


def test_every_column_of_numbers_is_taken(tmp_path):
    found = own(tmp_path, HOURS.replace("date,a,b", "date,a,b").replace("\n", ",x\n").replace("b,x", "b,kind", 1))
    assert (found.columns, found.frequency, found.season) == (("a", "b"), "1h", 24)
    assert found.series[0].shape == (24, 2)
    assert found.series[0][3].tolist() == [3, 30]


def test_named_columns_are_taken_in_their_order(tmp_path):
    found = own(tmp_path, HOURS, target=("b", "a"))
    assert (found.columns, found.series[0][3].tolist()) == (("b", "a"), [30, 3])


@pytest.mark.parametrize(
    ("times", "frequency", "season"),
    [
        (["1871", "1872", "1873"], "1y", 1),
        (["19580329", "19580405", "19580412"], "1w", 52),
        (["Jan-1-1995", "Feb-1-1995", "Mar-1-1995"], "1mo", 12),
        (["2020-01-31", "2020-02-29", "2020-03-31"], "1mo", 12),
        (["2020-01-01", "2020-04-01", "2020-07-01"], "3mo", 4),
        (["2020-01-01", "2020-01-02", "2020-01-03"], "1d", 7),
        (["2020-01-01 00:00", "2020-01-01 00:15", "2020-01-01 00:30"], "15min", 96),
        (["2020-01-01 00:00", "2020-01-01 00:01", "2020-01-01 00:02"], "1min", 60),
        (["2020-01-01T00:00:00Z", "2020-01-01T06:00:00Z", "2020-01-01T12:00:00Z"], "6h", 4),
    ],
)
def test_the_frequency_is_that_of_the_times(tmp_path, times, frequency, season):
    found = own(tmp_path, table(times))
    assert (found.frequency, found.season) == (frequency, season)


GAP = table(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07"], [1, 2, 3, 6, 7])
EMPTY = table(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"], [1, "", "NaN", 4])


@pytest.mark.parametrize(
    ("fill", "gap", "empty"),
    [
        ("previous", [1, 2, 3, 3, 3, 6, 7], [1, 1, 1, 4]),
        ("linear", [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4]),
        ("zero", [1, 2, 3, 0, 0, 6, 7], [1, 0, 0, 4]),
    ],
)
def test_missing_steps_are_filled_as_it_is_said(tmp_path, fill, gap, empty):
    assert own(tmp_path, GAP, fill=fill).series[0][:, 0].tolist() == gap
    assert own(tmp_path, EMPTY, fill=fill).series[0][:, 0].tolist() == empty


def test_missing_steps_are_named_by_row_where_nothing_is_said(tmp_path):
    with pytest.raises(TrainingError, match=r"sales\.csv, row 5: '2020-01-06' comes after a gap; 2 of 7 steps lack .*--fill"):
        own(tmp_path, GAP)
    with pytest.raises(TrainingError, match=r"sales\.csv, row 3: a is empty; 2 of 4 steps lack a value; --fill"):
        own(tmp_path, EMPTY)


def test_several_series_in_one_file_are_told_apart(tmp_path):
    rows = "".join(f"2020-01-{day:02},{shop},{day * scale}\n" for day in range(1, 5) for shop, scale in (("x", 1), ("y", 10)))
    found = own(tmp_path, "date,shop,a\n" + rows, series="shop")
    assert [one[:, 0].tolist() for one in found.series] == [[1, 2, 3, 4], [10, 20, 30, 40]]
    with pytest.raises(TrainingError, match=r"row 3: '2020-01-01' is not after the row before"):
        own(tmp_path, "date,shop,a\n" + rows)
    with pytest.raises(TrainingError, match=r"series 'y', row 9: the time is 'x'"):
        own(tmp_path, "date,shop,a\n" + rows[: -len("2020-01-04,y,40\n")] + "x,y,40\n", series="shop")


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (HOURS, {"time": "when"}, r"no column 'when' \(--time-column\); it has date, a, b"),
        (HOURS, {"target": ("c",)}, r"no column 'c' \(--target\)"),
        (HOURS, {"target": ("a", "a")}, "--target names a column twice"),
        ("date,a\n2020-01-01,1\n2020-01-02\n2020-01-03,3\n", {}, "row 3: a is empty"),
        ('date,a\n2020-01-01,1\n"",2\n2020-01-03,3\n', {}, "row 3: the time is ''"),
        (HOURS, {"series": "shop"}, r"no column 'shop' \(--series-column\)"),
        ("date,a\n", {}, "has no rows under its header"),
        ("", {}, "cannot be read as a table"),
        (b"date,a\n\xff\xfe,1\n", {}, "cannot be read as a table in UTF-8"),
        ("date,a\n2020-01-01,1\n2020-01-02,2\n", {}, "has 2 rows; expected at least 3"),
        (table(["2020-01-01", "soon", "2020-01-03"]), {}, "row 3: the time is 'soon'"),
        (table(["2020-01-01", "2020-01-02", "2020-01-02"]), {}, "row 4: '2020-01-02' is not after"),
        (table(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-03 07:00"]), {}, "row 5: .* is not a whole number of steps"),
        (table(["2020-01-01", "2020-01-02", "2020-01-03"], [1, "many", 3]), {"target": ("a",)}, "row 3: a is 'many'"),
        (table(["2020-01-01", "2020-01-02", "2020-01-03"], [1, "1e31", 3]), {}, "row 3: a is '1e31'; .* at most 1e.30"),
        (table(["2020-01-01", "2020-01-02", "2020-01-03"], ["x", "y", "z"]), {}, "has no column of numbers beside 'date'"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_line(tmp_path, content, options, said):
    with pytest.raises(TrainingError, match=said) as raised:
        own(tmp_path, content, **options)
    assert "\n" not in str(raised.value)


def test_another_file_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"is no \.csv or \.tsv file"):
        own(tmp_path, HOURS, name="sales.xlsx")


def test_ett_has_its_columns_and_its_borders(tmp_path, monkeypatch):
    data = ("date," + ",".join(series.ETT_COLUMNS) + "\n" + "2016-07-01 00:00:00,1,2,3,4,5,6,7\n" * 3).encode()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(sources.PUBLIC, "ett", PublicData((), (PublicFile("ETTh1.csv", digest, digest),)))
    (tmp_path / "ETTh1.csv").write_bytes(data)
    origin = Sources(None, tmp_path, None, Console(quiet=True))
    found = series.ett(origin, ())
    assert (found.columns[-1], found.borders) == ("OT", (8640, 11520, 14400))
    assert np.array_equal(found.series[0][0], [1, 2, 3, 4, 5, 6, 7])
    assert series.ett(origin, ("OT",)).series[0].tolist() == [[7], [7], [7]]
    with pytest.raises(TrainingError, match="ETTh1 has no column 'XX'"):
        series.ett(origin, ("XX",))
