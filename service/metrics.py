"""Every number the service tells Prometheus. Knows prometheus_client only.

Labels come from closed sets: route templates, the error tree's codes, names of versions on disk. With several workers each
process writes its share to a folder (`settings.share_metrics`, set before this module is imported) and any of them answers
with the sum.
"""

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
from prometheus_client.multiprocess import MultiProcessCollector

from service import settings

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped; without it there is a second series for each

REQUESTS = Counter("modelyard_requests", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram("modelyard_request_seconds", "From the first byte read to the answer", ["route"], buckets=_SECONDS)
REJECTS = Counter("modelyard_rejects", "Requests refused, by the error's code", ["code"])
IN_FLIGHT = Gauge("modelyard_in_flight", "Requests being answered", multiprocess_mode="livesum")
QUEUE_SECONDS = Histogram("modelyard_queue_seconds", "Wait of one item for its batch", ["model"], buckets=_SECONDS)
COMPUTE_SECONDS = Histogram("modelyard_compute_seconds", "Run of one batch", ["model"], buckets=_SECONDS)
BATCH_ROWS = Histogram("modelyard_batch_rows", "Rows of one batch", ["model"], buckets=_ROWS)
VERSION = Gauge("modelyard_model_version", "Version that answers; 0: none", ["model"], multiprocess_mode="min")
LOADS = Counter("modelyard_loads", "Versions loaded or refused", ["model", "outcome"])
TRIALS_ENDED = Counter("modelyard_trials_ended", "Shadows and canaries that broke their budget", ["model", "kind"])
DRIFT = Gauge("modelyard_drift", "Largest population stability index of live requests", ["model"], multiprocess_mode="max")
PROVIDER = Gauge("modelyard_provider", "1 for the execution provider in use", ["provider"], multiprocess_mode="max")
GPU_LOST = Counter("modelyard_gpu_lost", "Graphs that went on on the CPU because the GPU was lost")

CONTENT_TYPE = CONTENT_TYPE_LATEST


def expose() -> bytes:
    """All metrics in Prometheus's text format, summed over the workers."""
    if not settings.shares_metrics():
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return generate_latest(registry)
