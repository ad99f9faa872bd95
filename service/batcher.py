"""Items in, batches out: work-conserving, late-binding, padding-aware. Knows no HTTP, no onnxruntime, no arrays.

There is no timer. While every executor slot is busy, arrivals wait; when one is free, whatever waits (within limits) is the
next batch, so an idle server adds no wait and a busy one batches by itself:

    wait until the queue has an item AND a slot is free
    drop items whose client is gone or that waited too long
    look at the oldest `lookahead * max_batch` rows; where lengths differ, sort them by length and keep the oldest
    take while rows <= max_batch and rows * longest <= max_padded and it saves a tenth of what they would cost apart
    run; arrivals keep queueing meanwhile

Late binding as in Clipper (Crankshaw et al., NSDI 2017) without its delay. A batch that is known to be short runs on the
event loop when the current turn ends, so that everything whose bytes came in one turn is one batch; anything longer runs in the
executor, so that the loop never stalls. Everything here happens on the event loop's thread, except `run`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from service.errors import ModelFailed, Overloaded, ServiceError, Unavailable
from service.gate import Patience

WORTH = 0.9
"""What a batch may cost of its parts apart, to be worth padding: of 0.9, 0.95 and 1 the best, and near the optimum."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Size:
    """What an item costs: `rows` in the batch, each padded to the longest `length` in it."""

    rows: int = 1
    length: int = 1


@dataclass(frozen=True)
class BatchLimits:
    """`max_batch` and `max_queue` count rows, `max_padded` counts rows times the longest length."""

    max_batch: int = 64
    max_queue: int = 1024
    max_queue_s: float = 1.0
    max_padded: float = float("inf")
    lookahead: int = 4
    slots: int = 1
    """Batches that may run at the same time."""


@dataclass(frozen=True)
class Costs:
    """What batches of (rows, length) cost; by default nothing is known of them."""

    runs_here: Callable[[int, int], bool] = lambda _rows, _length: False
    """Whether it may block the event loop."""
    seconds: Callable[[int, int], float] = lambda _rows, _length: 0.0
    """So that no item is padded that would cost less in a batch of its own."""
    most_rows: Callable[[int], float] = lambda _length: float("inf")
    """Of a length: beyond these a batch is no cheaper by the row, and everybody in it waits longer."""


NOTHING_KNOWN = Costs()


@dataclass(slots=True)
class Answered(Generic[Answer]):
    """An answer, how long its item waited, how long its batch ran, and how many rows that batch had."""

    answer: Answer
    queue_s: float
    compute_s: float
    batch_rows: int


@dataclass(eq=False, slots=True)
class _Ticket(Generic[Item, Answer]):
    item: Item
    size: Size
    arrived: float
    future: "asyncio.Future[Answered[Answer]]" = field(repr=False)


class Batcher(Generic[Item, Answer]):
    """Runs `run(items) -> answers` on batches. An answer may be an error: that member's alone."""

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Answer | ServiceError]],
        size: Callable[[Item], Size],
        limits: BatchLimits,
        executor: Executor,
        *,
        costs: Costs = NOTHING_KNOWN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._size, self._limits, self._executor = run, size, limits, executor
        self._costs, self._clock = costs, clock
        self._free = limits.slots
        self._running = 0
        self._queue: deque[_Ticket[Item, Answer]] = deque()
        self._queued_rows = 0
        self._patience = Patience(limits.max_queue_s)
        self._ran_s = 0.0
        self._pumping = False
        self._closed = False
        self._idle: asyncio.Future[None] | None = None
        self.dead: str | None = None

    @property
    def queued_rows(self) -> int:
        """Rows that wait now."""
        return self._queued_rows

    def submit(self, items: Sequence[Item]) -> "list[asyncio.Future[Answered[Answer]]]":
        """Queue all of `items` or none; a future for each, in order. To cancel a future gives its place up.

        Raises Unavailable when closed or when the executor is dead, Overloaded when the queue has no room.
        """
        if self._closed or self.dead:
            raise Unavailable(self.dead or "This version is being replaced; ask again.")
        now, loop, rows = self._clock(), asyncio.get_running_loop(), 0
        tickets: list[_Ticket[Item, Answer]] = []
        for item in items:
            size = self._size(item)
            rows += size.rows
            tickets.append(_Ticket(item, size, now, loop.create_future()))
        if self._queued_rows + rows > self._limits.max_queue:
            self._drop(now)
        if self._queued_rows + rows > self._limits.max_queue:
            raise Overloaded(f"{self._queued_rows} rows wait already; the queue takes {self._limits.max_queue}.")
        if not self._queue:
            self._patience.emptied(now)
        self._queue.extend(tickets)
        self._queued_rows += rows
        self._wake()
        return [ticket.future for ticket in tickets]

    async def close(self) -> None:
        """Refuse what comes, finish what waits."""
        self._closed = True
        while self._queue or self._running:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _wake(self) -> None:
        if not self._pumping and self._free and self._queue:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        """Start one batch, if there is one and a slot for it; then let the loop turn before the next."""
        self._pumping = False
        if self._free and (batch := self._take()):
            self._start(batch)
        self._wake()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if self._idle and not self._idle.done() and not self._queue and not self._running:
            self._idle.set_result(None)

    def _drop(self, now: float) -> None:
        """Forget items whose client is gone; refuse those that waited too long."""
        kept: deque[_Ticket[Item, Answer]] = deque()
        rows, limit_s = 0, self._patience.limit(now, self._ran_s)  # what came while a batch ran fills the next one
        for ticket in self._queue:
            if ticket.future.done():
                continue
            if now - ticket.arrived > limit_s:
                ticket.future.set_exception(Overloaded(f"The request waited {limit_s:g} s for its turn; ask again."))
            else:
                kept.append(ticket)
                rows += ticket.size.rows
        self._queue, self._queued_rows = kept, rows

    def _take(self) -> list[_Ticket[Item, Answer]]:
        """The next batch, oldest item included, taken off the queue."""
        self._drop(self._clock())
        if len(self._queue) < 2:  # nothing to choose from
            alone, self._queue, self._queued_rows = list(self._queue), deque(), 0
            return alone
        window = self._window()
        mixed = len({ticket.size.length for ticket in window}) > 1
        batch = self._similar(window) if mixed else self._in_order(window)
        taken = set(map(id, batch))
        self._queue = deque(ticket for ticket in self._queue if id(ticket) not in taken)
        self._queued_rows -= sum(ticket.size.rows for ticket in batch)
        return batch

    def _window(self) -> list[_Ticket[Item, Answer]]:
        window: list[_Ticket[Item, Answer]] = []
        rows = 0
        for ticket in self._queue:
            rows += ticket.size.rows
            if window and rows > self._limits.lookahead * self._limits.max_batch:
                break
            window.append(ticket)
        return window

    def _fits(self, rows: int, longest: int) -> bool:
        limits = self._limits
        return rows <= min(limits.max_batch, self._costs.most_rows(longest)) and rows * longest <= limits.max_padded

    def _joins(self, rows: int, longest: int, size: Size) -> bool:
        """Whether a batch of `rows` takes one more item: within limits, and cheaper than a batch of its own for it."""
        after, padded = rows + size.rows, max(longest, size.length)
        apart = self._costs.seconds(rows, longest) + self._costs.seconds(size.rows, size.length)
        return self._fits(after, padded) and self._costs.seconds(after, padded) <= WORTH * apart

    def _in_order(self, window: list[_Ticket[Item, Answer]]) -> list[_Ticket[Item, Answer]]:
        batch, rows = window[:1], window[0].size.rows
        for ticket in window[1:]:
            rows += ticket.size.rows
            if not self._fits(rows, ticket.size.length):
                break
            batch.append(ticket)
        return batch

    def _similar(self, window: list[_Ticket[Item, Answer]]) -> list[_Ticket[Item, Answer]]:
        """The oldest and its neighbours by length: shorter ones first (they cost least), then longer ones."""
        oldest = window[0]
        by_length = sorted(window, key=lambda ticket: ticket.size.length)
        low = high = by_length.index(oldest)
        rows, longest = oldest.size.rows, oldest.size.length
        while True:
            below = by_length[low - 1] if low > 0 else None
            above = by_length[high + 1] if high + 1 < len(by_length) else None
            if below and self._joins(rows, longest, below.size):
                low, rows = low - 1, rows + below.size.rows
            elif above and self._joins(rows, longest, above.size):
                high, rows, longest = high + 1, rows + above.size.rows, above.size.length
            else:
                return by_length[low : high + 1]

    def _start(self, batch: list[_Ticket[Item, Answer]]) -> None:
        items, rows, longest = [], 0, 0
        for ticket in batch:
            items.append(ticket.item)
            rows += ticket.size.rows
            longest = max(longest, ticket.size.length)
        started = self._clock()
        if self._costs.runs_here(rows, longest):
            self._finish(batch, rows, started, partial(self._timed, items))
            return
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, self._timed, items)
        except RuntimeError as error:  # the executor was shut down or broke: nothing can run any more
            self._die(batch, error)
            return
        self._free -= 1
        self._running += 1
        future.add_done_callback(partial(self._done, batch, rows, started))

    def _timed(self, items: list[Item]) -> tuple[Sequence[Answer | ServiceError], float]:
        begun = self._clock()
        answers = self._run(items)
        self._ran_s = self._clock() - begun
        return answers, self._ran_s

    def _done(
        self,
        batch: list[_Ticket[Item, Answer]],
        rows: int,
        started: float,
        future: "asyncio.Future[tuple[Sequence[Answer | ServiceError], float]]",
    ) -> None:
        self._free += 1
        self._running -= 1
        if future.cancelled() or isinstance(future.exception(), BrokenExecutor):
            self._die(batch, "its executor stopped")
        else:
            self._finish(batch, rows, started, future.result)
        self._wake()
        self._tell_idle()

    def _finish(
        self,
        batch: list[_Ticket[Item, Answer]],
        rows: int,
        started: float,
        outcome: Callable[[], tuple[Sequence[Answer | ServiceError], float]],
    ) -> None:
        """Give each member its answer, or all members the batch's error."""
        try:
            answers, compute_s = outcome()
            pairs = list(zip(batch, answers, strict=True))
        except Exception as error:  # noqa: BLE001 - the edge of the batch: whatever it was, it is delivered to who waits
            for ticket in batch:
                if not ticket.future.done():
                    ticket.future.set_exception(_for_client(error))
            return
        for ticket, answer in pairs:
            if ticket.future.done():
                continue
            if isinstance(answer, ServiceError):
                ticket.future.set_exception(answer)
            else:
                ticket.future.set_result(Answered(answer, started - ticket.arrived, compute_s, rows))

    def _die(self, batch: list[_Ticket[Item, Answer]], cause: object) -> None:
        self.dead = f"This model cannot run any more: {cause}."
        for ticket in (*batch, *self._queue):
            if not ticket.future.done():
                ticket.future.set_exception(Unavailable(self.dead))
        self._queue.clear()
        self._queued_rows = 0


def _for_client(error: Exception) -> Exception:
    """`error` itself where it was made for a client; one that hides its words, and keeps it as its cause, otherwise."""
    if isinstance(error, ServiceError):
        return error
    failed = ModelFailed("The model failed on this batch; the service's log has the cause.")
    failed.__cause__ = error
    return failed
