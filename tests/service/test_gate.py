"""Who is let in, in which order, and who is told to come again. The clock is ours."""

import asyncio

import pytest

from service.errors import Overloaded
from service.gate import STANDING, Gate, Patience

pytestmark = pytest.mark.anyio


class Bench:
    """A gate, who is inside, and the hands that let them out."""

    def __init__(self, places: int = 1, most: int = 10, most_s: float = 1.0) -> None:
        self.now, self.room = 0.0, True
        self.gate = Gate(places, lambda: self.room, most, most_s, clock=lambda: self.now)
        self.inside: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def comes(self, name: str) -> asyncio.Task:
        self._ends[name] = asyncio.Event()

        async def stay() -> None:
            async with self.gate:
                self.inside.append(name)
                try:
                    await self._ends[name].wait()
                finally:
                    self.inside.remove(name)

        task = asyncio.create_task(stay())
        await self.turn()
        return task

    async def leaves(self, name: str) -> None:
        self._ends[name].set()
        await self.turn()

    async def turn(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)


async def test_so_many_as_there_are_places_come_in_and_the_others_in_their_order():
    bench = Bench(places=2)
    for name in "abcd":
        await bench.comes(name)
    assert bench.inside == ["a", "b"]
    await bench.leaves("a")
    await bench.leaves("b")
    assert bench.inside == ["c", "d"]


async def test_nobody_comes_in_without_room_for_what_comes_of_it():
    bench = Bench()
    bench.room = False
    await bench.comes("a")
    assert bench.inside == []
    bench.room = True
    bench.gate.look()
    await bench.turn()
    assert bench.inside == ["a"]


async def test_nobody_overtakes_who_waits():
    bench = Bench()
    bench.room = False
    await bench.comes("a")
    bench.room = True  # and nobody told the gate
    await bench.comes("b")
    assert bench.inside == ["a"]


async def test_who_waited_too_long_is_refused_and_the_next_comes_in():
    bench = Bench()
    await bench.comes("a")
    late = await bench.comes("b")
    bench.now = 1.1
    await bench.comes("c")
    await bench.leaves("a")
    assert isinstance(late.exception(), Overloaded)
    assert bench.inside == ["c"]


async def test_a_full_gate_refuses_at_once():
    bench = Bench(most=1)
    await bench.comes("a")
    await bench.comes("b")
    refused = await bench.comes("c")
    assert isinstance(refused.exception(), Overloaded)


async def test_who_gave_up_waiting_takes_no_place():
    bench = Bench()
    await bench.comes("a")
    gone = await bench.comes("b")
    await bench.comes("c")
    gone.cancel()
    await bench.leaves("a")
    assert bench.inside == ["c"]


async def test_who_gives_up_just_when_let_in_takes_no_place():
    bench = Bench()
    await bench.comes("a")
    gone = await bench.comes("b")
    bench._ends["a"].set()
    await asyncio.sleep(0)  # a is told
    await asyncio.sleep(0)  # a has left, b was let in and does not know
    gone.cancel()
    await bench.turn()
    await bench.comes("c")
    assert bench.inside == ["c"]


async def test_who_fails_inside_takes_no_place():
    bench = Bench()
    (await bench.comes("a")).cancel()
    await bench.turn()
    await bench.comes("b")
    assert bench.inside == ["b"]


def test_a_burst_may_wait_longer_than_those_in_a_queue_that_stands():
    patience = Patience(1.0)
    assert patience.limit(5.0) == 1.0
    patience.emptied(5.0)
    assert patience.limit(6.0) == 1.0
    assert patience.limit(6.1) == STANDING
    patience.emptied(7.0)
    assert patience.limit(7.5) == 1.0


def test_nobody_waits_less_than_is_needed_where_there_is_as_much():
    patience = Patience(1.0)
    patience.emptied(0.0)
    assert patience.limit(2.0, least_s=0.6) == 0.6
    assert patience.limit(2.0, least_s=3.0) == 1.0
