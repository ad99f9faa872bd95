"""The batcher's promises. Items are numbers and `run` doubles them; nothing here sleeps, the clock is ours."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future

import pytest

from service.batcher import Batcher, BatchLimits, Costs, Size
from service.errors import ModelFailed, Overloaded, Unavailable

pytestmark = pytest.mark.anyio


class ByHand(Executor):
    """An executor that runs a batch when told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Callable[[], object]]] = []
        self.broken = False

    def submit(self, fn, /, *args, **kwargs):
        if self.broken:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def finish(self) -> None:
        future, call = self.waiting.pop(0)
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A batcher, what it ran, and the hands that run it."""

    def __init__(
        self, *, here: bool = False, run=None, size=lambda _: Size(), cost=lambda _r, _l: 0.0, most=64, **limits
    ) -> None:
        self.batches: list[list[int]] = []
        self.executor, self.clock = ByHand(), Clock()

        def double(items: list[int]) -> list[int]:
            self.batches.append(items)
            return [2 * item for item in items]

        self.batcher = Batcher(
            run or double,
            size,
            BatchLimits(**limits),
            self.executor,
            costs=Costs(lambda _r, _l: here, cost, lambda _length: most),
            clock=self.clock,
        )

    def submit(self, *items: int) -> list[asyncio.Future]:
        return self.batcher.submit(items)

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        await self.turn()
        self.executor.finish()
        await self.turn()


async def test_an_idle_server_adds_no_wait():
    bench = Bench()
    (answer,) = bench.submit(1)
    await bench.finish()
    assert answer.result().queue_s == 0
    assert bench.batches == [[1]]


async def test_what_arrives_in_one_turn_is_one_batch():
    bench = Bench(here=True)
    answers = [bench.submit(item)[0] for item in (1, 2, 3)]
    await bench.turn()
    assert bench.batches == [[1, 2, 3]]
    assert [answer.result().answer for answer in answers] == [2, 4, 6]


async def test_arrivals_wait_while_the_executor_is_busy_and_then_go_together():
    bench = Bench()
    bench.submit(1)
    await bench.turn()
    late = [bench.submit(item)[0] for item in (2, 3, 4)]
    await bench.turn()
    assert not any(answer.done() for answer in late)
    await bench.finish()
    await bench.finish()
    assert bench.batches == [[1], [2, 3, 4]]


async def test_as_many_batches_run_at_once_as_there_are_slots():
    bench = Bench(slots=2, max_batch=1)
    bench.submit(1, 2, 3)
    await bench.turn()
    assert len(bench.executor.waiting) == 2


async def test_a_batch_is_never_larger_than_max_batch():
    bench = Bench(max_batch=3, size=lambda rows: Size(rows=rows))
    bench.submit(2, 2, 1, 3)
    for _ in range(3):
        await bench.finish()
    assert bench.batches == [[2], [2, 1], [3]]


async def test_answers_go_to_whoever_asked():
    bench = Bench(max_batch=4)
    answers = bench.submit(*range(10))
    for _ in range(3):
        await bench.finish()
    assert [answer.result().answer for answer in answers] == [2 * item for item in range(10)]


async def test_a_full_queue_refuses_at_once():
    bench = Bench(max_queue=2)
    bench.submit(1, 2)
    with pytest.raises(Overloaded, match="2 rows wait"):
        bench.submit(3)


async def test_a_request_of_several_items_is_taken_whole_or_not_at_all():
    bench = Bench(max_queue=3)
    bench.submit(1, 2)
    with pytest.raises(Overloaded):
        bench.submit(3, 4)
    assert bench.batcher.queued_rows == 2


async def test_clients_that_left_make_room_in_a_full_queue():
    bench = Bench(max_queue=2)
    gone = bench.submit(1, 2)
    for future in gone:
        future.cancel()
    bench.submit(3)
    await bench.finish()
    assert bench.batches == [[3]]


async def test_an_item_whose_client_is_gone_is_not_computed():
    bench = Bench()
    first, gone, last = bench.submit(1, 2, 3)
    gone.cancel()
    await bench.finish()
    assert bench.batches == [[1, 3]]
    assert (first.result().answer, last.result().answer) == (2, 6)


async def test_a_waiter_cancelled_while_its_batch_runs_harms_nobody():
    bench = Bench()
    first, gone = bench.submit(1, 2)
    await bench.turn()
    gone.cancel()
    await bench.finish()
    assert first.result().answer == 2


async def test_an_item_that_waited_too_long_is_refused_and_not_computed():
    bench = Bench(max_queue_s=1, max_batch=1)
    bench.submit(1)
    await bench.turn()
    (old,) = bench.submit(2)
    bench.clock.now = 1.5
    await bench.finish()
    await bench.turn()
    assert isinstance(old.exception(), Overloaded)
    assert bench.batches == [[1]]


async def test_in_a_queue_that_is_never_empty_an_item_is_refused_earlier():
    bench = Bench(max_queue_s=1, max_batch=1)
    _, burst = bench.submit(1, 2)
    await bench.turn()
    bench.clock.now = 0.9
    (standing,) = bench.submit(3)
    await bench.finish()
    bench.clock.now = 1.3
    await bench.finish()
    assert burst.result().answer == 4
    assert isinstance(standing.exception(), Overloaded)


async def test_an_error_reaches_exactly_the_members_of_its_batch():
    def run(items):
        if 2 in items:
            raise ArithmeticError("secret")
        return items

    bench = Bench(run=run, max_batch=2)
    one, two, three = bench.submit(1, 2, 3)
    await bench.finish()
    await bench.finish()
    assert isinstance(one.exception(), ModelFailed)
    assert isinstance(two.exception(), ModelFailed)
    assert three.result().answer == 3


async def test_an_error_that_was_not_made_for_clients_hides_its_words():
    bench = Bench(run=lambda _: 1 / 0, here=True)
    (answer,) = bench.submit(1)
    await bench.turn()
    assert "division" not in answer.exception().message
    assert isinstance(answer.exception().__cause__, ZeroDivisionError)


async def test_too_few_answers_are_an_error_and_not_a_hang():
    bench = Bench(run=lambda _: [], here=True)
    (answer,) = bench.submit(1)
    await bench.turn()
    assert isinstance(answer.exception(), ModelFailed)


async def test_close_refuses_what_comes_and_finishes_what_waits():
    bench = Bench(max_batch=1)
    answers = bench.submit(1, 2)
    closing = asyncio.ensure_future(bench.batcher.close())
    await bench.turn()
    with pytest.raises(Unavailable):
        bench.submit(3)
    await bench.finish()
    assert not closing.done()
    await bench.finish()
    assert closing.done()
    assert [answer.result().answer for answer in answers] == [2, 4]


async def test_close_of_an_idle_batcher_returns_at_once():
    await asyncio.wait_for(Bench().batcher.close(), 1)


async def test_a_dead_executor_fails_what_waits_and_is_told():
    bench = Bench(max_batch=1)
    bench.executor.broken = True
    answers = bench.submit(1, 2)
    await bench.turn()
    assert all(isinstance(answer.exception(), Unavailable) for answer in answers)
    assert bench.batcher.dead
    with pytest.raises(Unavailable):
        bench.submit(3)


async def test_a_batch_that_may_block_the_loop_runs_there_and_leaves_a_turn_between_two():
    bench = Bench(here=True, max_batch=1)
    bench.submit(1, 2)
    await asyncio.sleep(0)
    ran_first = len(bench.batches)
    await bench.turn()
    assert (ran_first, len(bench.batches)) == (1, 2)
    assert not bench.executor.waiting


# Sequences: an item is its own length


def lengths(**more) -> Bench:
    return Bench(size=lambda length: Size(length=length), **more)


async def test_a_batch_is_of_similar_lengths():
    bench = lengths(max_batch=3)
    bench.submit(10, 500, 11, 490, 12, 510)
    await bench.finish()
    await bench.finish()
    assert [sorted(batch) for batch in bench.batches] == [[10, 11, 12], [490, 500, 510]]


async def test_the_oldest_item_is_always_in_the_next_batch():
    bench = lengths(max_batch=2)
    bench.submit(900, 10, 11, 12, 13)
    await bench.finish()
    assert 900 in bench.batches[0]


async def test_rows_times_the_longest_stay_within_the_padded_budget():
    bench = lengths(max_padded=100)
    bench.submit(10, 30, 40, 20, 25)
    for _ in range(2):
        await bench.finish()
    assert all(len(batch) * max(batch) <= 100 for batch in bench.batches)


async def test_an_item_over_the_padded_budget_runs_alone():
    bench = lengths(max_padded=100)
    bench.submit(500, 1)
    await bench.finish()
    await bench.finish()
    assert bench.batches == [[500], [1]]


async def test_no_item_is_padded_that_costs_less_in_a_batch_of_its_own():
    bench = lengths(cost=lambda rows, length: (10 + 2 * rows) * length)  # a long row beside a short one saves 10 steps of it
    bench.submit(100, 10, 90, 12, 400, 95)
    for _ in range(3):
        await bench.finish()
    assert [sorted(batch) for batch in bench.batches] == [[90, 95, 100], [10, 12], [400]]


async def test_no_more_rows_go_together_than_gain_by_it():
    bench = lengths(most=2)
    bench.submit(10, 10, 10, 10, 10)
    for _ in range(3):
        await bench.finish()
    assert bench.batches == [[10, 10], [10, 10], [10]]


async def test_where_rows_cost_little_all_lengths_go_together():
    bench = lengths(cost=lambda rows, length: (1000 + rows) * length**0.01)
    bench.submit(100, 10, 400)
    await bench.finish()
    assert sorted(bench.batches[0]) == [10, 100, 400]


async def test_only_so_many_of_the_oldest_are_looked_at():
    bench = lengths(max_batch=2, lookahead=2)
    bench.submit(10, 500, 600, 700, 11)
    await bench.finish()
    assert bench.batches[0] == [10, 500]


@pytest.mark.parametrize("here", [True, False])
async def test_an_answer_that_is_an_error_is_its_members_alone(here):
    bench = Bench(here=here, run=lambda items: [ModelFailed("no") if item == 2 else item for item in items])
    one, two, three = bench.submit(1, 2, 3)
    await (bench.turn() if here else bench.finish())
    assert (one.result().answer, three.result().answer) == (1, 3)
    assert isinstance(two.exception(), ModelFailed)
