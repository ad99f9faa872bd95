"""What a request costs, counted in calls of functions, which no busy machine changes: a guard against slowness that creeps in."""

import asyncio
import json
import sys
from collections.abc import Callable

import pytest
from uvicorn.server import ServerState

from service.app import create_app
from service.server import Config, Protocol
from service.settings import Settings

CLIENTS, ROUNDS = 16, 5
TENSOR = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [9] * 784}
BODY = json.dumps({"inputs": [TENSOR], "outputs": [{"name": "probabilities"}]}).encode()
HEAD = (
    "POST /v2/models/light/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n"
)


class Wires:
    """Connections without a network; `whole` is called when each was answered."""

    def __init__(self, config: Config) -> None:
        self.protocols, self.answers = [], list[bytes]()
        self.whole: Callable[[], None] = lambda: None
        for _ in range(CLIENTS):
            protocol = Protocol(config, ServerState(), {})
            protocol.connection_made(Wire(self))
            self.protocols.append(protocol)

    async def ask(self, request: bytes) -> None:
        """All clients at once, until all are answered."""
        self.answers.clear()
        whole = asyncio.get_running_loop().create_future()
        self.whole = lambda: whole.done() or whole.set_result(None)
        for protocol in self.protocols:
            protocol.data_received(request)
        await whole


class Wire(asyncio.Transport):
    def __init__(self, wires: Wires) -> None:
        super().__init__()
        self._wires = wires

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1"):
            self._wires.answers.append(bytes(data))
        if len(self._wires.answers) == CLIENTS:
            self._wires.whole()

    def get_extra_info(self, name: str, default=None):
        return default

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def calls(models_dir, *headers: str) -> float:
    """Calls of functions, Python's and C's, that one request makes on the event loop's thread."""
    config = Config(create_app, Settings(models_dir=models_dir, access_log=False, reload_s=60))
    config.load()
    request = HEAD.format(len(BODY), "".join(f"{header}\r\n" for header in headers)).encode() + BODY
    counted = 0

    def count(frame, event: str, argument) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    async with config.loaded_app.router.lifespan_context(config.loaded_app):
        await config.loaded_app.state.registry.first_look(20)
        wires = Wires(config)
        for _ in range(3):
            await wires.ask(request)
        assert [answer.split(b" ", 2)[1] for answer in wires.answers] == [b"200"] * CLIENTS
        sys.setprofile(count)
        try:
            for _ in range(ROUNDS):
                await wires.ask(request)
        finally:
            sys.setprofile(None)
    return counted / ROUNDS / CLIENTS


@pytest.mark.anyio
async def test_one_picture_as_json_costs_few_calls(models_dir):
    assert await calls(models_dir) <= 300


@pytest.mark.anyio
async def test_what_is_answered_below_asgi_costs_less_than_a_quarter_of_the_documented_route(models_dir):
    through_the_app = await calls(models_dir, "Content-Encoding: identity")
    assert await calls(models_dir) <= 0.25 * through_the_app
