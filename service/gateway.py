"""In Ray's proxy: what a replica took with it when it died is asked once more, and what cannot be had is 503 with Retry-After.

Ray's own proxy then says nothing, or 500 in plain text, which tells a client neither that it may ask again nor when. Knows
Starlette's middleware only; Ray's proxy finds `middlewares` by the variable below.
"""

import json
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
NAMED = "service.gateway.middlewares"
TRIES = 3
LONGEST_BODY = 16 * 2**20
"""Bytes of a body that are kept for another try."""
GONE = json.dumps({"error": "The replica that had this request is gone; ask again.", "code": "unavailable", "request_id": ""})


class Gateway:
    """Around the proxy. An answer of the service itself, whatever its status, is passed on as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = _Kept(receive)
        for _ in range(TRIES):
            tried = _Tried(send)
            try:
                await self._app(dict(scope), kept.again(), tried)
            except Exception:
                if tried.begun:
                    raise  # a part of the answer is on its way
            if tried.begun:
                return
            if kept.too_long or kept.left:
                break
        await send({"type": "http.response.start", "status": 503, "headers": _headers(GONE)})
        await send({"type": "http.response.body", "body": GONE.encode()})


class _Kept:
    """A request's body, read once and given as often as it is asked for."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self._bytes = 0
        self.too_long = self.left = False

    def again(self) -> Receive:
        """From its beginning."""
        place = 0

        async def receive() -> Message:
            nonlocal place
            if place < len(self._messages):
                place += 1
                return self._messages[place - 1]
            message = await self._receive()
            self.left |= message["type"] == "http.disconnect"
            self._bytes += len(message.get("body", b""))
            self.too_long |= self._bytes > LONGEST_BODY
            if message["type"] == "http.request" and not self.too_long:
                self._messages.append(message)
                place += 1
            return message

        return receive


class _Tried:
    """`send` of one try: holds back what the proxy itself says of a replica that is gone."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        """Whether something was sent on."""
        self._held = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            own = dict(message["headers"]).get(b"content-type", b"").startswith(b"text/plain")
            self._held = message["status"] in (500, 503) and own
        if not self._held:
            self.begun = True
            await self._send(message)


def _headers(body: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
        (b"cache-control", b"no-store"),
    ]


def middlewares() -> list[Any]:
    """What Ray's proxy asks for."""
    return [Middleware(Gateway)]
