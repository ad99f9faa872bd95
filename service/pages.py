"""The pages that people look at: one HTML file for all of their addresses, and the files in `web/` that it loads.

Nothing of them comes from another host, and they use the same API as anybody: no route here computes anything. Knows
Starlette's static files; knows no model.
"""

from pathlib import Path

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB = Path(__file__).parent / "web"
ADDRESSES = ("/", "/play/{name}", "/status", "/docs")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # asked for again each time, answered by 304 where it is the same
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
FOR_EVER = "public, max-age=31536000, immutable"
"""How long what stands in a folder with its version in its name may be kept."""
LEAST_PACKED = 1000
"""Bytes of a file from which on it is sent packed."""


class Files(StaticFiles):
    """The files, with the headers of all pages."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path`. Raises HTTPException where there is none."""
        found = await super().get_response(path, scope)
        found.headers.update(HEADERS)
        if path.startswith("vendor/"):
            found.headers["Cache-Control"] = FOR_EVER
        return found


def add(app: FastAPI) -> None:
    """Give `app` the pages."""
    app.mount("/web", GZipMiddleware(Files(directory=WEB), minimum_size=LEAST_PACKED), name="web")

    async def page() -> FileResponse:
        return FileResponse(WEB / "index.html", headers=HEADERS)

    async def named_page(name: str) -> FileResponse:  # noqa: ARG001 - the page itself asks for the model
        return await page()

    for address in ADDRESSES:
        app.add_api_route(address, named_page if "{" in address else page, methods=["GET"], include_in_schema=False)
