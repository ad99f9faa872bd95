"""The drill finds out servers that answer overload wrongly, and finds no wrong answer of the service.

The servers made up here take a hundredth of a second a request by the clock, so that other tests beside them change nothing.
"""

import asyncio
import contextlib
import threading

import pytest

from tests.drills import overload
from tests.drills.figures import Figure, Ground

PACE_S, MOST = 0.01, 20
SHORT = {"peak_s": 0.5, "normal_s": 0.3, "overload_s": 2.5, "settled_s": 0.2}


class Made:
    """A server that answers one classification after another, and what is too much in the way of its `kind`."""

    def __init__(self, kind: str) -> None:
        self._kind, self._waiting = kind, 0

    async def serve(self, told: "asyncio.Future[int]", over: asyncio.Event) -> None:
        self._turn = asyncio.Lock()
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        told.set_result(server.sockets[0].getsockname()[1])
        await over.wait()
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length or 0))
                status = await self._status() if b"/v1/classify" in head else b"200"
                if not status:
                    break
                retry = b"Retry-After: 1\r\n" if status == b"503" else b""
                writer.write(b"HTTP/1.1 " + status + b" \r\n" + retry + b"Content-Length: 2\r\n\r\n{}")
        writer.close()

    async def _status(self) -> bytes:
        if self._waiting >= MOST and self._kind != "waits":
            return {"refuses": b"503", "fails": b"500", "drops": b""}[self._kind]
        self._waiting += 1
        async with self._turn:
            await asyncio.sleep(PACE_S)
        self._waiting -= 1
        return b"200"


@contextlib.contextmanager
def made(kind: str):
    """Its address."""
    loop = asyncio.new_event_loop()
    over, told = asyncio.Event(), loop.create_future()
    known = threading.Event()
    told.add_done_callback(lambda _: known.set())
    thread = threading.Thread(target=lambda: loop.run_until_complete(Made(kind).serve(told, over)))
    thread.start()
    known.wait(5)
    try:
        yield f"http://127.0.0.1:{told.result()}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def missed(figures: list[Figure]) -> list[str]:
    return [figure.what for figure in figures if not figure.ok]


WRONG = "its other answers: anything but 503 or 429 with Retry-After; dropped connections"
LATE = "p99 of what it answered, from when it was due"


@pytest.mark.parametrize(
    ("kind", "what", "ok"),
    [
        ("fails", WRONG, False),
        ("waits", LATE, False),
        pytest.param("drops", WRONG, False, marks=pytest.mark.slow),
        pytest.param("refuses", WRONG, True, marks=pytest.mark.slow),
        pytest.param("refuses", LATE, True, marks=pytest.mark.slow),
    ],
)
def test_a_server_is_told_by_what_it_makes_of_too_much(tmp_path, kind, what, ok):
    with made(kind) as url:
        figures = overload.drill(Ground(None, tmp_path, url), **SHORT)
    assert (what not in missed(figures)) is ok


def test_the_service_refuses_what_is_too_much_and_nothing_else(start, tmp_path):
    figures = overload.drill(Ground(start, tmp_path), settings={}, **SHORT)
    assert WRONG not in missed(figures)
    (other,) = (figure for figure in figures if figure.what.startswith("p99 of another model"))
    assert other.reached.endswith("; 0")


@pytest.mark.slow
def test_a_service_in_which_everybody_may_wait_is_found_out(start, tmp_path):
    patient = {"max_queue": 10**6, "max_queue_s": 1000}
    figures = overload.drill(Ground(start, tmp_path), overload_s=10, settings=patient)
    assert LATE in missed(figures)


@pytest.mark.slow
def test_twice_the_peak_is_borne(start, tmp_path):
    assert missed(overload.drill(Ground(start, tmp_path), overload_s=20, settings={})) == []
