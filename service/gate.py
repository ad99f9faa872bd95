"""Who may be prepared next: long requests wait as the bytes they came in, and go in their turn. Knows no HTTP and no model.

What is prepared costs as much as what is answered, and in vain where it is refused afterwards: under twice the load that it
bears, a server that prepares whatever comes does little else. How long one may wait is in `Patience`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from service.errors import Overloaded

Result = TypeVar("Result")
STANDING = 0.25
"""The share of the longest wait that is left in a queue that was not empty for as long as that."""


class Patience:
    """How long one may wait in a queue: `most_s` in a burst, less in a queue that stands.

    A queue that is never empty is no burst: however long it is, as much is answered, and everyone only waits. As CoDel does it
    (Nichols and Jacobson, ACM Queue 2012), in the form that Maurer gives it for servers ("Fail at Scale", ACM Queue 2015).
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._empty: float | None = None

    def emptied(self, now: float) -> None:
        """The queue is empty, or was until now."""
        self._empty = now

    def limit(self, now: float, least_s: float = 0.0) -> float:
        """In seconds; `least_s` is what one must be given where there is as much."""
        if self._empty is None or now - self._empty <= self._most_s:
            return self._most_s
        return min(self._most_s, max(least_s, STANDING * self._most_s))


@dataclass(eq=False, slots=True)
class _Waiting:
    arrived: float
    future: "asyncio.Future[None]" = field(repr=False)


class Gate:
    """`places` at once, while there is `room` for what comes of them; the others in the order they came.

    Whoever makes room calls `look`.
    """

    def __init__(
        self,
        places: int,
        room: Callable[[], bool],
        most: int = 1024,
        most_s: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most `most` wait, for about `most_s` each."""
        self._free, self._room, self._most, self._clock = places, room, most, clock
        self._waiting: deque[_Waiting] = deque()
        self._patience = Patience(most_s)

    async def __aenter__(self) -> None:
        """Raises Overloaded where too many wait, or it took too long."""
        now = self._clock()
        self.look()
        if not self._waiting:
            self._patience.emptied(now)
            if self._free and self._room():
                self._free -= 1
                return
        if len(self._waiting) >= self._most:
            raise Overloaded(f"{len(self._waiting)} requests wait already to be prepared.")
        mine = _Waiting(now, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            await mine.future
        except asyncio.CancelledError:
            if mine.future.done() and not mine.future.cancelled() and not mine.future.exception():
                self._leave()  # it was let in just when it gave up
            raise

    async def aside(self, prepare: Callable[..., Result], *arguments: Any) -> Result:
        """`prepare(*arguments)`, which is long, in a thread and in its turn."""
        async with self:
            return await asyncio.to_thread(prepare, *arguments)

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._free += 1
        self.look()

    def look(self) -> None:
        """Let in who may come; refuse who waited too long; forget who gave up."""
        if not self._waiting:
            return
        now = self._clock()
        while self._waiting:
            first = self._waiting[0]
            if not first.future.done():
                if now - first.arrived > self._patience.limit(now):
                    first.future.set_exception(Overloaded("The request waited too long for its turn; ask again."))
                elif self._free and self._room():
                    self._free -= 1
                    first.future.set_result(None)
                else:
                    return
            self._waiting.popleft()
        self._patience.emptied(now)
