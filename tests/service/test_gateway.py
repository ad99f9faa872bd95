"""What Ray's proxy cannot answer is asked again, then 503."""

import json

import pytest

from service import gateway
from service.gateway import Gateway

pytestmark = pytest.mark.anyio


async def through(app, *parts: bytes, path: str = "/v1/classify"):
    """Every message that a client gets of a request with a body in these parts."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts or (b"",))
    ]
    sent = []

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await Gateway(app)({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
    return sent


def answering(*statuses, media=b"text/plain"):
    """A proxy that answers its requests in turn with these statuses; None for with nothing, an exception for that."""
    left, bodies = list(statuses), []

    async def app(scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        bodies.append(body)
        status = left.pop(0)
        if isinstance(status, Exception):
            raise status
        if status:
            kind = b"application/json" if status == 200 else media
            await send({"type": "http.response.start", "status": status, "headers": [[b"content-type", kind]]})
            await send({"type": "http.response.body", "body": b"said"})

    app.bodies = bodies
    return app


@pytest.mark.parametrize("first", [None, 500, 503, RuntimeError("gone")])
async def test_what_a_dead_replica_took_along_is_asked_again_with_its_whole_body(first):
    app = answering(first, 200)
    sent = await through(app, b"one", b"two")
    assert [message.get("status") for message in sent] == [200, None]
    assert app.bodies == [b"onetwo", b"onetwo"]


async def test_what_cannot_be_had_is_503_with_when_to_ask_again():
    start, body = await through(answering(*[None] * gateway.TRIES))
    headers = dict(start["headers"])
    assert (start["status"], headers[b"retry-after"], headers[b"content-type"]) == (503, b"1", b"application/json")
    assert json.loads(body["body"]).keys() == {"error", "code", "request_id"}
    assert int(headers[b"content-length"]) == len(body["body"])


@pytest.mark.parametrize("status", [500, 503])
async def test_an_error_of_the_service_itself_is_passed_on(status):
    app = answering(status, media=b"application/json")
    start, _ = await through(app)
    assert start["status"] == status
    assert len(app.bodies) == 1


async def test_an_answer_that_breaks_off_is_not_begun_again():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        await through(app)


async def test_a_body_that_is_too_long_to_be_kept_is_asked_once(monkeypatch):
    monkeypatch.setattr(gateway, "LONGEST_BODY", 4)
    app = answering(None, 200)
    start, _ = await through(app, b"one", b"two")
    assert start["status"] == 503
    assert app.bodies == [b"onetwo"]


async def test_what_is_no_request_is_none_of_its_business():
    asked = []

    async def app(scope, receive, send):
        asked.append(scope["type"])

    await Gateway(app)({"type": "lifespan"}, None, None)
    assert asked == ["lifespan"]


async def test_the_proxy_finds_it_by_name():
    module, _, function = gateway.NAMED.rpartition(".")
    assert module == gateway.__name__
    assert [one.cls for one in getattr(gateway, function)()] == [Gateway]
