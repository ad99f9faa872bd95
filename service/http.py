"""What every route needs of HTTP: answers as JSON, whole bodies within limits, a patient wait. Knows Starlette; no route."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service import compression
from service.errors import DeadlineExceeded, RequestTimeout, TooLarge
from service.model import Timing, Wait
from service.settings import Settings

Result = TypeVar("Result")
SHORT_WORK = 64 * 1024
"""Bytes to touch (a body's, a picture's pixels) that the event loop may see to itself."""
WATCH_AFTER_S = 0.05
"""A request that waits longer than this is watched for a client that leaves."""


def answer(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """`content` as JSON with the content type that the protocol's clients compare letter by letter."""
    data = content if isinstance(content, bytes) else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, status, headers, media_type="application/json")


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body, unpacked, within its limits. Raises TooLarge, RequestTimeout, UnsupportedMedia, BadRequest."""
    headers = request.headers
    too_large = TooLarge(f"The body is larger than {settings.max_body_bytes} bytes.")
    stated = headers.get("content-length", "")
    if stated.isdecimal() and (len(stated) > 18 or int(stated) > settings.max_body_bytes):
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                data += chunk
                if len(data) > settings.max_body_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestTimeout(f"The body took longer than {settings.body_timeout_s:g} s to arrive.") from None
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return bytes(data)
    return await asyncio.to_thread(compression.unpacked, bytes(data), encoding, settings.max_body_bytes)


async def patiently(future: "asyncio.Future[Result]", request: Request, deadline_s: float) -> Result:
    """`future`'s result; it is cancelled when the deadline passes (DeadlineExceeded) or the client leaves."""
    gone: asyncio.Task[None] | None = None
    try:
        await asyncio.wait({future}, timeout=min(WATCH_AFTER_S, deadline_s))
        if not future.done():
            gone = asyncio.create_task(_gone(request))
            waits: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(waits, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if gone and gone.done():
            raise ClientDisconnect
        raise DeadlineExceeded(f"No answer within {deadline_s:g} s.")
    finally:
        future.add_done_callback(_seen)  # nobody waits for it any more, whatever becomes of it
        future.cancel()
        if gone:
            gone.cancel()


def waits(request: Request, settings: Settings) -> Wait:
    """How patiently an answer to this request is waited for."""
    return lambda future: patiently(future, request, settings.deadline_s)


def _seen(future: "asyncio.Future[Any]") -> None:
    """Its exception, if it has one, is nobody's surprise."""
    if not future.cancelled():
        future.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def at_leisure(function: Callable[..., Result], *arguments: Any, long: bool) -> Result:
    """`function(*arguments)`, in a thread where it is `long`."""
    return await asyncio.to_thread(function, *arguments) if long else function(*arguments)


def server_timing(decode_s: float, timing: Timing) -> dict[str, str]:
    """The header that says where a request's time went."""
    return {
        "Server-Timing": f"decode;dur={decode_s * 1e3:.3f}, queue;dur={timing.queue_s * 1e3:.3f}, "
        f'compute;dur={timing.compute_s * 1e3:.3f};desc="batch of {timing.batch_rows}"'
    }
