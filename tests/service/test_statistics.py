"""Counts and times as the protocol's statistics extension has them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.statistics import PHASES, Span, Statistics

NOTHING = {"count": 0, "ns": 0}


def test_before_the_first_request_everything_is_zero():
    public = Statistics().public("light", 1)
    assert (public["last_inference"], public["inference_count"], public["execution_count"]) == (0, 0, 0)
    assert public["inference_stats"] == dict.fromkeys((*PHASES, "cache_hit", "cache_miss"), NOTHING)
    assert public["batch_stats"] == []


def test_a_span_counts_nanoseconds():
    span = Span()
    span.add(0.25)
    span.add(1e-9, count=3)
    assert span.public() == {"count": 4, "ns": 250_000_001}


def test_an_answered_request_spends_its_time_in_four_phases():
    one = Statistics()
    one.answered(decode_s=0.001, queue_s=0.002, compute_s=0.004, encode_s=0.008)
    assert one.public("light", 1)["inference_stats"] == {
        "success": {"count": 1, "ns": 15_000_000},
        "fail": NOTHING,
        "queue": {"count": 1, "ns": 2_000_000},
        "compute_input": {"count": 1, "ns": 1_000_000},
        "compute_infer": {"count": 1, "ns": 4_000_000},
        "compute_output": {"count": 1, "ns": 8_000_000},
        "cache_hit": NOTHING,
        "cache_miss": NOTHING,
    }


def test_a_failed_request_is_a_failure_only():
    one = Statistics()
    one.failed(0.5)
    stats = one.public("light", 1)["inference_stats"]
    assert stats.pop("fail") == {"count": 1, "ns": 500_000_000}
    assert all(span == NOTHING for span in stats.values())


@pytest.mark.parametrize("happens", [lambda one: one.answered(0, 0, 0, 0), lambda one: one.failed(0)])
def test_the_last_request_has_its_time_in_milliseconds_since_1970(monkeypatch, happens):
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_123_456_789)
    one = Statistics()
    happens(one)
    assert one.public("light", 1)["last_inference"] == 1_700_000_000_123


def test_rows_are_inferences_and_batches_are_executions():
    one = Statistics()
    for rows in (4, 1, 4):
        one.ran(rows, 0.001)
    public = one.public("light", 1)
    assert (public["inference_count"], public["execution_count"]) == (9, 3)


def test_batches_are_told_by_size_ascending():
    one = Statistics()
    for rows, seconds in ((10, 0.1), (2, 0.01), (10, 0.2)):
        one.ran(rows, seconds)
    assert one.public("light", 1)["batch_stats"] == [
        {"batch_size": size, "compute_input": NOTHING, "compute_infer": span, "compute_output": NOTHING}
        for size, span in ((2, {"count": 1, "ns": 10_000_000}), (10, {"count": 2, "ns": 300_000_000}))
    ]


def test_batches_of_threads_at_once_are_all_counted():
    one = Statistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: one.ran(1 + number % 4, 0.001), range(4000)))
    public = one.public("light", 1)
    assert (public["inference_count"], public["execution_count"]) == (10_000, 4000)
    assert [batch["compute_infer"] for batch in public["batch_stats"]] == [{"count": 1000, "ns": 1_000_000_000}] * 4


def test_the_public_form_has_every_field_of_the_extension():
    one = Statistics()
    one.ran(1, 0.001)
    public = one.public("light", 12)
    assert set(public) == {
        "name", "version", "last_inference", "inference_count", "execution_count", "inference_stats", "batch_stats", "memory_usage"
    }  # fmt: skip
    assert (public["name"], public["version"], public["memory_usage"]) == ("light", "12", [])
    assert set(public["inference_stats"]) == {
        "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"
    }  # fmt: skip
    assert set(public["batch_stats"][0]) == {"batch_size", "compute_input", "compute_infer", "compute_output"}


def test_what_was_told_does_not_change_with_what_happens_next():
    one = Statistics()
    one.ran(2, 0.001)
    before = one.public("light", 1)
    one.ran(2, 0.001)
    assert before["batch_stats"][0]["compute_infer"]["count"] == 1
