"""The schema drill holds here, and is red where a service does otherwise than its document says."""

import threading
import time
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request, Response

from tests.conftest import servers
from tests.drills import schema
from tests.drills.figures import Ground


def test_answers_are_what_the_document_says(start, tmp_path):
    (ground := tmp_path / "ground").mkdir()
    assert [one for one in schema.drill(Ground(start, ground), examples=2) if not one.ok] == []


@contextmanager
def running(app: FastAPI):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def faulty() -> FastAPI:
    app = FastAPI()

    @app.get("/raises")
    async def raises() -> Response:
        raise RuntimeError

    @app.get("/undocumented")
    async def undocumented() -> Response:
        return Response("{}", 418, media_type="application/json")

    @app.get("/text")
    async def text() -> Response:
        return Response("text", media_type="text/plain")

    @app.get("/misfit", responses={200: {"content": {"application/json": {"schema": {"type": "array"}}}}})
    async def misfit() -> Response:
        return Response("{}", media_type="application/json")

    @app.get("/headers", responses={200: {"headers": {"X-Must": {"required": True, "schema": {"type": "string"}}}}})
    async def headers() -> Response:
        return Response("1", media_type="application/json")

    body = {"required": True, "content": {"application/json": {"schema": {"type": "integer"}}}}

    @app.post("/takes-anything", openapi_extra={"requestBody": body})
    async def takes_anything(_: Request) -> Response:
        return Response("1", media_type="application/json")

    return app


def test_each_kind_of_fault_turns_its_figure_red(tmp_path):
    with servers(tmp_path) as start, running(faulty()) as url:
        assert [one.what for one in schema.drill(Ground(start, tmp_path, url), examples=3) if one.ok] == []
