"""Counts and times of one version in the form of the protocol's statistics extension. Knows no model and no HTTP.

Source: the Triton Inference Server's docs/protocol/extension_statistics.md.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

PHASES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


@dataclass(slots=True)
class Span:
    """How often something happened and how long it took together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        self.count += count
        self.ns += int(seconds * 1e9)

    def public(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass
class Statistics:
    """Of one version in this process."""

    spans: dict[str, Span] = field(default_factory=lambda: {phase: Span() for phase in PHASES})
    rows: int = 0
    batches: dict[int, Span] = field(default_factory=dict)
    """Runs by the rows of their batch."""
    last_ms: int = 0
    """When the last request came in, milliseconds since 1970."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        phases = ("success", "queue", "compute_input", "compute_infer", "compute_output")
        self._of_success = [self.spans[phase] for phase in phases]

    def ran(self, rows: int, seconds: float) -> None:
        """A batch; called from whatever thread ran it."""
        with self._lock:
            self.rows += rows
            self.batches.setdefault(rows, Span()).add(seconds)

    def answered(self, decode_s: float, queue_s: float, compute_s: float, encode_s: float) -> None:
        """A request that was answered."""
        took = (decode_s + queue_s + compute_s + encode_s, queue_s, decode_s, compute_s, encode_s)
        for span, seconds in zip(self._of_success, took, strict=True):
            span.count += 1
            span.ns += int(seconds * 1e9)
        self.last_ms = time.time_ns() // 1_000_000

    def failed(self, seconds: float) -> None:
        """A request that was not."""
        self.spans["fail"].add(seconds)
        self.last_ms = time.time_ns() // 1_000_000

    def public(self, name: str, version: int) -> dict[str, Any]:
        """As an element of `model_stats`."""
        nothing = Span().public()
        with self._lock:
            batches = {rows: Span(span.count, span.ns) for rows, span in self.batches.items()}
        return {
            "name": name,
            "version": str(version),
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": sum(span.count for span in batches.values()),
            "inference_stats": {
                **{phase: span.public() for phase, span in self.spans.items()},
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [
                {"batch_size": rows, "compute_input": nothing, "compute_infer": span.public(), "compute_output": nothing}
                for rows, span in sorted(batches.items())
            ],
            "memory_usage": [],
        }
