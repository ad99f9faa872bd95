"""How far live requests are from the training data."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.drift import ENOUGH, ROWS_A_BATCH, ROWS_A_SECOND, SLOTS, Drift, Watched, chosen, index, ranged
from service.families import classifier, forecaster, sentiment
from service.manifest import Manifest
from tests.conftest import ROOT

WINDOW_S = 60.0
DECILES = [10, 91, 121, 136, 153, 176, 208, 254, 327, 400, 400]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def number(deciles: object = (0, 1, 2)) -> Watched:
    return ranged("number", list(deciles), "x", lambda rows: rows)[0]


def placed(watched: Watched, *values: float) -> list[int]:
    return watched.places({"x": np.array(values, np.float64)}).tolist()


def seen(live: Drift, values, clock: Clock | None = None) -> None:
    """Rows in batches that are looked at as a whole."""
    for batch in np.array_split(np.asarray(values, np.float64), -(-len(values) // ROWS_A_BATCH)):
        live.observe({"x": batch}, {})
        if clock:
            clock.now += ROWS_A_BATCH / ROWS_A_SECOND


def rows_seen(live: Drift) -> int:
    return sum(live.totals()[0])


def test_the_same_shares_have_an_index_of_0():
    assert index((0.5, 0.3, 0.2), np.array([50, 30, 20])) == pytest.approx(0, abs=1e-12)


def test_the_index_is_the_textbooks():
    expected, found = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    textbook = ((found - expected) * np.log(found / expected)).sum()
    assert index(expected, np.array([200, 500, 300])) == pytest.approx(textbook)
    assert textbook == pytest.approx(0.4176, abs=1e-4)


def test_an_empty_bin_makes_the_index_large_and_not_infinite():
    assert 0.25 < index((0.5, 0.5), np.array([100, 0])) < 10


def test_bins_go_from_below_the_smallest_to_above_the_largest_training_value():
    watched = number([0, 1.5, 2])
    assert watched.bins == ("below 0", "0 to 1.5", "1.5 to 2", "above 2")
    assert watched.expected == (0, 0.5, 0.5, 0)


def test_a_value_falls_into_the_bin_that_it_ends_or_lies_in():
    assert placed(number([0, 1, 2]), -0.1, 0, 0.5, 1, 1.1, 2, 2.1) == [0, 1, 1, 1, 2, 2, 3]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_stated_value_falls_into_the_bin_that_it_ends_in_any_precision(kind):
    steps = [0.1, 0.2, 0.3, 1.401, 6.028]
    assert number([0.0, *steps]).places({"x": np.array(steps, kind)}).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_whole_numbers_fall_between_fractions(kind):
    assert number([0.5, 1.5, 2.5]).places({"x": np.array([0, 1, 2, 3], kind)}).tolist() == [0, 1, 2, 3]


def test_infinity_is_above_and_nan_is_nobody():
    assert placed(number([0, 1, 2]), -np.inf, np.inf, np.nan) == [0, 3, -1]


@pytest.mark.parametrize(
    ("deciles", "value"), [(DECILES, 400), ([0, 0, 0, *range(1, 9)], 0), ([*range(5), 4, *range(5, 10)], 4)]
)
def test_deciles_that_are_the_same_share_their_mass_at_their_value(deciles, value):
    watched = number(deciles)
    assert watched.expected[placed(watched, value)[0]] == pytest.approx(0.2)
    assert sum(watched.expected) == pytest.approx(1)


def test_a_property_of_one_value_only_has_it_all_in_one_bin():
    watched = number([5, 5, 5])
    assert watched.expected == (0, 1, 0)
    assert placed(watched, 4, 5, 6) == [0, 1, 2]


@pytest.mark.parametrize(
    "stated",
    [[], [1], [2, 1], [0, None], [0, "1"], [0, True], [0, float("nan")], [0, float("inf")], "0 1", 5, {"0": 1}, [[0], [1]]],
)
def test_deciles_that_are_no_ascending_numbers_are_refused(stated):
    with pytest.raises(ValueError, match=r"the statistics' number is .*; expected ascending numbers"):
        ranged("number", stated, "x", lambda rows: rows)


@pytest.mark.parametrize(
    "stated", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": "1"}, {"a": True}, {"a": float("nan")}, [0.5, 0.5], "a", 1]
)
def test_shares_that_are_none_are_refused(stated):
    with pytest.raises(ValueError, match=r"the statistics' label is .*; expected shares by label"):
        chosen("label", stated, "x", lambda rows: rows)


@pytest.mark.parametrize("kind", [ranged, chosen])
def test_what_is_not_stated_is_not_watched(kind):
    assert kind("number", None, "x", lambda rows: rows) == ()


def test_a_choice_is_counted_by_label(clock):
    (watched,) = chosen("label", {"no": 0.25, "yes": 0.75}, "p", lambda rows: rows.argmax(1))
    live = Drift([watched], WINDOW_S, clock)
    live.observe({"x": np.zeros(3)}, {"p": np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])})
    assert live.totals() == [[1, 2]]
    assert (watched.bins, watched.expected) == (("no", "yes"), (0.25, 0.75))


def test_a_batch_without_what_a_property_needs_says_nothing_of_it(clock):
    live = Drift([number(), *chosen("label", {"a": 1.0}, "p", lambda rows: rows)], WINDOW_S, clock)
    live.observe({"x": np.array([0.5])}, {"other": np.zeros(1)})
    assert live.totals() == [[0, 1, 0, 0], [0]]


def test_where_nothing_is_watched_nothing_is_told(clock):
    live = Drift([], WINDOW_S, clock)
    live.observe({"x": np.zeros(1)}, {})
    assert (live.largest(), live.public()["index"], live.public()["properties"]) == (None, None, [])


def test_an_observation_leaves_with_its_slot_of_the_window(clock):
    live = Drift([number()], WINDOW_S, clock)
    live.observe({"x": np.array([0.5, 0.5])}, {})
    clock.now = 30
    live.observe({"x": np.array([1.5])}, {})
    clock.now = 59.9
    assert live.totals() == [[0, 2, 1, 0]]
    clock.now = 60
    assert live.totals() == [[0, 0, 1, 0]]
    clock.now = 90
    assert live.totals() == [[0, 0, 0, 0]]


def test_after_a_long_silence_the_window_is_empty(clock):
    live = Drift([number()], WINDOW_S, clock)
    seen(live, [0.5] * 100)
    clock.now = 1e6
    assert rows_seen(live) == 0
    live.observe({"x": np.array([0.5])}, {})
    assert rows_seen(live) == 1


def test_memory_does_not_grow_with_traffic(clock):
    live = Drift([number()], WINDOW_S, clock)
    before = [counts.shape for counts in live._counts]
    seen(live, np.linspace(-1, 3, 5000), clock)
    assert [counts.shape for counts in live._counts] == before == [(SLOTS, 4)]


def test_of_a_large_batch_the_first_rows_are_looked_at(clock):
    live = Drift([number()], WINDOW_S, clock)
    live.observe({"x": np.array([0.5] * ROWS_A_BATCH + [1.5] * 100)}, {})
    assert live.totals() == [[0, ROWS_A_BATCH, 0, 0]]


def test_of_many_batches_so_many_rows_a_second_are_looked_at(clock):
    live = Drift([number()], WINDOW_S, clock)
    seen(live, np.full(1000, 0.5))
    assert rows_seen(live) == ROWS_A_SECOND
    clock.now = 0.5
    seen(live, np.full(1000, 0.5))
    assert rows_seen(live) == 1.5 * ROWS_A_SECOND


def test_a_quiet_hour_saves_up_no_more_than_a_second(clock):
    live = Drift([number()], 1e6, clock)
    clock.now = 3600
    seen(live, np.full(1000, 0.5))
    assert rows_seen(live) == ROWS_A_SECOND


def test_fewer_observations_than_enough_tell_no_index(clock):
    live = Drift([number()], WINDOW_S, clock)
    seen(live, np.full(ENOUGH - 1, 0.5), clock)
    told = live.public()
    assert (live.largest(), told["index"], told["properties"][0]["index"]) == (None, None, None)
    assert told["properties"][0]["drift"] == "too few"
    live.observe({"x": np.array([0.5])}, {})
    assert live.largest() > 0.25
    assert live.public()["properties"][0]["drift"] == "large"


def test_before_the_first_request_no_share_is_told(clock):
    told = Drift([number()], WINDOW_S, clock).public()["properties"][0]
    assert told["observations"] == 0
    assert told["bins"][1] == {"bin": "0 to 1", "expected": 0.5, "found": None}


def test_what_other_processes_saw_counts_too(clock):
    one, other = Drift([number()], WINDOW_S, clock), Drift([number()], WINDOW_S, clock)
    seen(one, np.full(100, 0.5))
    seen(other, np.full(100, 1.5))
    told = one.public([other.totals()])
    assert (told["index"], told["properties"][0]["observations"]) == (pytest.approx(0, abs=0.01), 200)
    assert [one["found"] for one in told["properties"][0]["bins"]] == [0, 0.5, 0.5, 0]


def test_the_largest_index_of_all_properties_is_told(clock):
    same, other = number([0, 1, 2]), number([10, 11, 12])
    live = Drift([same, other], WINDOW_S, clock)
    seen(live, np.tile([0.5, 1.5], 100), clock)
    first, second = (one["index"] for one in live.public()["properties"])
    assert first < 0.1 < 0.25 < second
    assert live.public()["index"] == second == round(live.largest(), 4)


def test_threads_at_once_are_counted_one_after_the_other(clock):
    together, met = threading.Barrier(2), []

    def places(arrays):
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(0.05)
            met.append(True)
        return np.zeros(len(arrays["x"]), np.intp)

    live = Drift([Watched("x", ("all",), (1.0,), ("x",), places)], WINDOW_S, clock)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: live.observe({"x": np.zeros(4)}, {}), range(40)))
    assert (live.totals(), met) == ([[160]], [])


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "none"), (0.4, "moderate"), (1.0, "large")])
def test_a_shift_of_the_distribution_shows(clock, shift, verdict):
    random = np.random.default_rng(0)
    deciles = np.quantile(random.normal(size=50_000), np.linspace(0, 1, 11))
    live = Drift([number(deciles.tolist())], 3600, clock)
    seen(live, random.normal(shift, size=2000), clock)
    told = live.public()["properties"][0]
    assert (told["observations"], told["drift"]) == (2000, verdict)


def watched(room, name: str) -> dict[str, Watched]:
    return {one.name: one for one in room.watched(Manifest.read(ROOT / "models" / name / "1"))}


@pytest.mark.parametrize(
    ("room", "name", "properties"),
    [
        (sentiment, "reviews", {"tokens", "unknown_words", "label"}),
        (classifier, "digits", {"mean_pixel", "label"}),
        (forecaster, "oil", {f"last {column}" for column in ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")}),
    ],
)
def test_shipped_models_state_what_their_rooms_watch(room, name, properties):
    found = watched(room, name)
    assert set(found) == properties
    assert {key: sum(one.expected) for key, one in found.items()} == pytest.approx(dict.fromkeys(properties, 1), abs=1e-3)


@pytest.mark.parametrize("room", [sentiment, classifier, forecaster])
def test_a_room_watches_nothing_where_nothing_is_stated(room):
    manifest = Manifest.read(ROOT / "models/digits/1").model_copy(update={"statistics": {}})
    assert room.watched(manifest) == ()


def texts(*lengths: int) -> np.ndarray:
    """A row of known words for each, padded to 400."""
    return np.array([[2] * length + [0] * (400 - length) for length in lengths], np.int32)


def test_padding_does_not_make_a_text_longer():
    tokens = watched(sentiment, "reviews")["tokens"]
    bins = [tokens.bins[place] for place in tokens.places({"tokens": texts(95, 5, 328)})]
    assert bins == ["91 to 121", "below 10", "327 to 400"]


def test_a_text_at_the_limit_is_as_usual_as_in_training():
    tokens = watched(sentiment, "reviews")["tokens"]
    assert tokens.expected[tokens.places({"tokens": texts(400)})[0]] == pytest.approx(0.2)


def test_padding_is_neither_a_known_nor_an_unknown_word(clock):
    found = watched(sentiment, "reviews")["unknown_words"]
    live = Drift([found], WINDOW_S, clock)
    live.observe({"tokens": np.array([[2, 3, 1, 0, 0], [1, 0, 0, 0, 0]], np.int32)}, {})
    assert dict(zip(found.bins, live.totals()[0], strict=True)) == {"known": 2, "unknown": 2}


def test_pictures_are_watched_by_their_light():
    light = watched(classifier, "digits")["mean_pixel"]
    pictures = np.stack([np.full((28, 28, 1), value, np.uint8) for value in (0, 20, 255)])
    bins = [light.bins[place] for place in light.places({"image": pictures})]
    assert bins == ["below 6.487", "19.577 to 23.653", "above 101.381"]


def test_a_column_is_watched_at_its_last_step():
    found = watched(forecaster, "oil")
    series = np.zeros((1, 504, 7), np.float32)
    series[0, :, 6] = np.linspace(-100, 16, 504)
    assert [found["last OT"].bins[place] for place in found["last OT"].places({"series": series})] == ["15.265 to 17.798"]


def test_a_column_of_zeros_was_not_sent_and_counts_for_nothing(clock):
    found = watched(forecaster, "oil")
    live = Drift(tuple(found.values()), WINDOW_S, clock)
    series = np.zeros((2, 504, 7), np.float32)
    series[0, :, 6] = 16
    live.observe({"series": series}, {})
    assert dict(zip(found, map(sum, live.totals()), strict=True)) == {**dict.fromkeys(found, 0), "last OT": 1}


def test_a_column_that_ends_in_zero_counts():
    last = watched(forecaster, "oil")["last OT"]
    series = np.ones((1, 504, 7), np.float32)
    series[0, -1] = 0
    assert last.bins[last.places({"series": series})[0]] == "-4.08 to 6.472"


def test_malformed_statistics_of_a_version_are_refused_by_its_room():
    manifest = Manifest.read(ROOT / "models/digits/1").model_copy(update={"statistics": {"mean_pixel_deciles": [3, 1]}})
    with pytest.raises(ValueError, match="mean_pixel"):
        classifier.watched(manifest)
