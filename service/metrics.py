"""Every number the service tells Prometheus. Knows prometheus_client only.

Labels come from closed sets: route templates, the error tree's codes, names of versions on disk. With several workers each
process writes its share to a folder (`settings.share_metrics`, set before this module is imported) and any of them answers
with the sum.

What is counted at every request is kept in plain lists and written by `write`, some times a second and before the numbers are
told: an observation costs prometheus_client a microsecond or two, and a request makes five.
"""

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from service import settings

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

WRITTEN_EVERY_S = 0.1

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped; without it there is a second series for each


class Observations(Histogram):
    """A histogram that takes many values at once, which prometheus_client's has no way to."""

    def observe_all(self, values: list[float]) -> None:
        """As `observe` with each of `values`."""
        for index, count in Counts(bisect_left(self._upper_bounds, value) for value in values).items():
            self._buckets[index].inc(count)
        self._sum.inc(sum(values))


REQUESTS = Counter("modelyard_requests", "Requests answered", ["route", "method", "status"])
SECONDS = Observations("modelyard_request_seconds", "From the first byte read to the answer", ["route"], buckets=_SECONDS)
REJECTS = Counter("modelyard_rejects", "Requests refused, by the error's code", ["code"])
IN_FLIGHT = Gauge("modelyard_in_flight", "Requests being answered", multiprocess_mode="livesum")
QUEUE_SECONDS = Observations("modelyard_queue_seconds", "Wait of one item for its batch", ["model"], buckets=_SECONDS)
COMPUTE_SECONDS = Observations("modelyard_compute_seconds", "Run of one batch", ["model"], buckets=_SECONDS)
BATCH_ROWS = Observations("modelyard_batch_rows", "Rows of one batch", ["model"], buckets=_ROWS)
VERSION = Gauge("modelyard_model_version", "Version that answers; 0: none", ["model"], multiprocess_mode="min")
LOADS = Counter("modelyard_loads", "Versions loaded or refused", ["model", "outcome"])
TRIALS_ENDED = Counter("modelyard_trials_ended", "Shadows and canaries that broke their budget", ["model", "kind"])
DRIFT = Gauge("modelyard_drift", "Largest population stability index of live requests", ["model"], multiprocess_mode="max")
PROVIDER = Gauge("modelyard_provider", "1 for the execution provider in use", ["provider"], multiprocess_mode="max")
LOG_LINES_DROPPED = Counter("modelyard_log_lines_dropped", "Log lines that nobody read in time, or that had no room")
GPU_LOST = Counter("modelyard_gpu_lost", "Graphs that went on on the CPU because the GPU was lost")

CONTENT_TYPE = CONTENT_TYPE_LATEST

_kept: dict[Observations, list[float]] = {}


def kept(observations: Observations) -> list[float]:
    """Values to be observed at the next `write`: append to it, from any thread."""
    return _kept.setdefault(observations, [])


class Requests:
    """Counts requests, on the event loop's thread."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._answered: Counts[tuple[str, str, int]] = Counts()
        self._seconds: dict[str, list[float]] = {}

    def came(self) -> None:
        """One more is being answered."""
        self._in_flight += 1

    def went(self, route: str, method: str, status: int, seconds: float) -> None:
        """One was answered."""
        self._in_flight -= 1
        self._answered[route, method, status] += 1
        if route not in self._seconds:
            self._seconds[route] = kept(SECONDS.labels(route))
        self._seconds[route].append(seconds)

    def write(self) -> None:
        """What was counted since the last time."""
        IN_FLIGHT.set(self._in_flight)
        for (route, method, status), count in self._answered.items():
            REQUESTS.labels(route, method, str(status)).inc(count)
        self._answered.clear()


requests = Requests()


def write() -> None:
    """Hand what was kept to prometheus_client."""
    requests.write()
    for observations, values in list(_kept.items()):
        if taken := values[:]:
            del values[: len(taken)]  # what another thread appended meanwhile stays for the next time
            observations.observe_all(taken)


class _Joined:
    """Metrics as prometheus_client wants them of a registry."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def add(self, text: str, label: str, value: str) -> None:
        for family in text_string_to_metric_families(text):
            held = self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                held.add_sample(sample.name, {label: value, **sample.labels}, sample.value)

    def collect(self) -> list[Metric]:
        return list(self._families.values())


def joined(told: Mapping[str, bytes], label: str) -> bytes:
    """What several services told by `expose`, one after another, each series with the name of its teller under `label`."""
    every = _Joined()
    for who, text in sorted(told.items()):
        every.add(text.decode(), label, who)
    return generate_latest(every)


def expose() -> bytes:
    """All metrics in Prometheus's text format, summed over the workers."""
    write()
    if not settings.shares_metrics():
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return generate_latest(registry)
