"""SIGTERM in the middle of everything: whoever was heard is answered, and the process ends by itself.

Fifty requests are in flight, most of them in the queue of a slow model, some with half of their body sent; eight clients ask again
and again, half of them on a new connection each time.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from service.samples import SEVEN_PNG
from tests.conftest import SIDE, Process, packed, write_version
from tests.drills.figures import Figure, Ground

ANYWHERE = False

QUEUED, HALF_SENT, LOOPING = 40, 10, 8
HELD_BACK = 100
"""Bytes of a body that is half sent."""
LASTS_S = 60
"""What nobody was told in so long is lost."""


def slow_graph(turns: int, size: int = 512) -> bytes:
    """The light model's, after some products of large matrices, which change nothing: a tenth of a second or so."""
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    square = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in ("in", "out")]
    goes, went = (helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("goes", "went"))
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    steps = [helper.make_node("MatMul", ["in", "in"], ["out"]), helper.make_node("Identity", ["goes"], ["went"])]
    body = helper.make_graph(steps, "product", [turn, goes, square[0]], [went, square[1]])
    nodes = [
        helper.make_node("Loop", ["turns", "yes", "unit"], ["unit again"], body=body),
        helper.make_node("ReduceMax", ["unit again"], ["one"], keepdims=0),
        helper.make_node("Cast", ["image"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["number", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Concat", ["dark", "light"], ["probabilities"], axis=1),
    ]
    constants = [
        numpy_helper.from_array(np.eye(size, dtype=np.float32), "unit"),
        helper.make_tensor("turns", TensorProto.INT64, [], [turns]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 255]),
    ]
    return packed(helper.make_graph(nodes, "slow", [image], [answer], constants))


@dataclass
class Looped:
    """What clients saw that ask again and again."""

    statuses: list[int] = field(default_factory=list)
    refused: int = 0
    """Connections that could not be had."""
    cut: int = 0
    """Connections that were had, and closed or reset without an answer."""


def drill(
    ground: Ground,
    *,
    workers: Sequence[int] = (1, 2),
    second: bool = True,
    turns: int = 30,
    settings: Mapping[str, object] | None = None,
) -> list[Figure]:
    """`second`: also how fast a second signal ends it; `turns` make the model slow; `settings` are those of the service."""
    models = ground.folder / "models"
    write_version(models, "light")
    write_version(models, "slow", files={"model.onnx": slow_graph(turns)})
    # one row a batch, and time to wait for it: what is in flight lasts longer than the port stays open
    given = {"models_dir": models, "max_batch": 1, "max_queue_s": LASTS_S, **(settings or {})}
    figures = [one for count in workers for one in _drained(ground.start(workers=count, **given), count)]
    return [*figures, *(_killed(ground.start(**given)) if second else [])]


def _request(model: str) -> bytes:
    head = f"POST /v1/classify?model={model} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(SEVEN_PNG)}\r\n\r\n"
    return head.encode() + SEVEN_PNG


def _connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((where.hostname, where.port), timeout=LASTS_S)


def _answer(wire: socket.socket) -> tuple[int, bool]:
    """Status, and whether the connection stays. Raises ConnectionError where it ends before."""
    seen = b""
    while b"\r\n\r\n" not in seen or len(seen) < _whole(seen):
        if not (part := wire.recv(65536)):
            raise ConnectionResetError
        seen += part
    return int(seen.split(b" ", 2)[1]), b"connection: close" not in seen.lower()


def _whole(seen: bytes) -> int:
    head, _, _ = seen.partition(b"\r\n\r\n")
    return len(head) + 4 + int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])


def _in_flight(url: str) -> list[socket.socket]:
    """Requests that are begun; the last HALF_SENT of them are not whole yet."""
    request, wires = _request("slow"), []
    for index in range(QUEUED + HALF_SENT):
        wires.append(_connect(url))
        wires[-1].sendall(request if index < QUEUED else _request("light")[:-HELD_BACK])
    return wires


def _loop(url: str, looped: Looped, stop: threading.Event, *, keeps: bool) -> None:
    request, wire = _request("light"), None
    while not stop.is_set():
        try:
            wire = wire or _connect(url)
        except OSError:
            looped.refused += 1
            return
        try:
            wire.sendall(request)
            status, stays = _answer(wire)
        except OSError:
            looped.cut += 1
            stays = False
        else:
            looped.statuses.append(status)
        if not (stays and keeps):
            wire.close()
            wire = None


@contextlib.contextmanager
def _looping(url: str) -> Iterator[Looped]:
    looped, stop = Looped(), threading.Event()
    threads = [
        threading.Thread(target=_loop, args=(url, looped, stop), kwargs={"keeps": index % 2 == 0}) for index in range(LOOPING)
    ]
    for thread in threads:
        thread.start()
    try:
        yield looped
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _probe(url: str, name: str) -> int:
    """A status; 0 where there is no connection to be had."""
    with contextlib.suppress(OSError), contextlib.closing(_connect(url)) as wire:
        wire.sendall(f"GET /v2/health/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return _answer(wire)[0]
    return 0


def _drained(service: Process, workers: int) -> list[Figure]:
    with _looping(service.url) as looped:
        wires = _in_flight(service.url)
        time.sleep(0.5)
        told = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        health = [(_probe(service.url, "ready"), _probe(service.url, "live"))]
        for wire in wires[QUEUED:]:
            wire.sendall(SEVEN_PNG[-HELD_BACK:])
        while service.process.poll() is None and time.monotonic() < told + LASTS_S and health[-1] != (0, 0):
            health.append((_probe(service.url, "ready"), _probe(service.url, "live")))
            time.sleep(0.05)
        answered = [_status(wire) for wire in wires]
        code = service.process.wait(LASTS_S)
        took = time.monotonic() - told
    return _figures(workers, answered, looped, health, (took, code))


def _status(wire: socket.socket) -> int:
    with contextlib.suppress(OSError), wire:
        return _answer(wire)[0]
    return 0


def _figures(
    workers: int, answered: list[int], looped: Looped, health: list[tuple[int, int]], ended: tuple[float, int]
) -> list[Figure]:
    with_ = f"SIGTERM, {workers} worker{'s' if workers > 1 else ''}"
    good, wrong = answered.count(200), sum(status != 200 for status in looped.statuses)
    open_ = [pair for pair in health if all(pair)]
    said = all(pair == (503, 200) for pair in open_) and open_ != []
    took, code = ended
    return [
        Figure(
            f"{with_}: of {len(answered)} requests in flight answered 200", f"{len(answered)}", f"{good}", good == len(answered)
        ),
        Figure(
            f"{with_}, {LOOPING} clients that ask on: connections cut without an answer; answers but 200",
            "0; 0",
            f"{looped.cut}; {wrong} (of {len(looped.statuses)}, until {looped.refused} found the port closed)",
            looped.cut == wrong == 0,
        ),
        Figure(
            f"{with_}: health until the port closes",
            "not ready, live",
            "not ready, live" if said else f"(ready, live): {sorted(set(open_))}",
            said,
        ),
        Figure(f"{with_}: until it has ended; exit code", "<= 25 s; 0", f"{took:.1f} s; {code}", took <= 25 and code == 0),
    ]


def _killed(service: Process) -> list[Figure]:
    wires = _in_flight(service.url)
    time.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    told = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(LASTS_S)
    took = time.monotonic() - told
    for wire in wires:
        wire.close()
    return [Figure("a second SIGTERM, with as many in flight: until it has ended", "<= 1 s", f"{took:.2f} s", took <= 1)]
