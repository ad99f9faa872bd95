"""What every route needs of HTTP: a request that is all here, whole bodies within limits, a patient wait, the answer.

Knows Starlette; no route. An `Asked` can come from an ASGI request (`asked`) or from below ASGI (`exchange`): handlers of
what carries the load take it, so that there is one of each.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service import compression
from service.edge import Said, said
from service.errors import DeadlineExceeded, InvalidInput, RequestTimeout, TooLarge, shown
from service.model import Timing, Wait
from service.settings import Settings

Result = TypeVar("Result")
SHORT_WORK = 64 * 1024
"""Bytes to touch (a body's, a picture's pixels) that the event loop may see to itself."""
WATCH_AFTER_S = 0.05
"""A request that waits longer than this is watched for a client that leaves."""


EVERY = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer: it is of its moment, for who asked, and of the type that it says."""
Headers = Mapping[bytes, bytes]


@dataclass(slots=True)
class Asked:
    """A request whose body is here, unpacked."""

    data: bytes
    headers: Headers
    """By name in lower case."""
    query: bytes
    wait: Wait
    """How patiently its answer is waited for."""

    def header(self, name: bytes) -> str | None:
        """Its value, as latin-1."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def parameters(self) -> dict[str, str]:
        """The query's; of one that comes twice the last."""
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True))


Handler = Callable[..., Coroutine[Any, Any, Said]]
"""(asked, what the path's template has in braces, by name) -> answer. Raises a ServiceError."""


@dataclass(frozen=True)
class Lean:
    """A path that is answered below ASGI too: its template, and how."""

    template: str
    handler: Handler


class Paths:
    """Finds the template of a path."""

    def __init__(self, lean: Iterable[Lean]) -> None:
        self._fixed: dict[bytes, Lean] = {}
        self._patterns: list[tuple[re.Pattern[bytes], Lean]] = []
        for one in lean:
            if "{" in one.template:
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[A-Za-z0-9_.-]{1,200})", one.template)
                self._patterns.append((re.compile(pattern.encode()), one))
            else:
                self._fixed[one.template.encode()] = one

    def find(self, path: bytes) -> tuple[Lean, dict[str, str]] | None:
        """The template and what stands for its names; None where there is none, or the path has anything unusual."""
        if one := self._fixed.get(path):
            return one, {}
        for pattern, one in self._patterns:
            if match := pattern.fullmatch(path):
                return one, {name: value.decode() for name, value in match.groupdict().items()}
        return None


def headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By name; values of one name are joined, as RFC 9110 (5.3) has it."""
    found: dict[bytes, bytes] = {}
    for name, value in pairs:
        found[name] = found[name] + b", " + value if name in found else value
    return found


async def asked(request: Request, settings: Settings) -> Asked:
    """From an ASGI request. Raises what `read_body` raises."""
    data = await read_body(request, settings)
    query: bytes = request.scope["query_string"]

    def wait(future: "asyncio.Future[Result]") -> Awaitable[Result]:
        return patiently(future, request, settings.deadline_s)

    return Asked(data, headers(request.scope["headers"]), query, wait)


def response(answered: Said) -> Response:
    """For ASGI."""
    return Response(answered.body, answered.status, {**EVERY, **answered.headers}, media_type=answered.media)


def answer(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """`content` as JSON."""
    return response(said(content, headers, status))


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


def _seen(future: "asyncio.Future[Any]") -> None:
    """Its exception, if it has one, is nobody's surprise."""
    if not future.cancelled():
        future.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def wrong_parameter(fault: Mapping[str, Any]) -> InvalidInput:
    """One of FastAPI's faults of a path's or a query's parameter, as ours."""
    return InvalidInput(f"Parameter {shown(fault['loc'][-1])} is {shown(fault.get('input'))}: {fault['msg']}.")


async def at_leisure(function: Callable[..., Result], *arguments: Any, long: bool) -> Result:
    """`function(*arguments)`, in a thread where it is `long`."""
    return await asyncio.to_thread(function, *arguments) if long else function(*arguments)


def server_timing(decode_s: float, timing: Timing) -> dict[str, str]:
    """The header that says where a request's time went."""
    return {
        "Server-Timing": f"decode;dur={decode_s * 1e3:.3f}, queue;dur={timing.queue_s * 1e3:.3f}, "
        f'compute;dur={timing.compute_s * 1e3:.3f};desc="batch of {timing.batch_rows}"'
    }
