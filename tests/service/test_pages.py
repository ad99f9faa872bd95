"""What the pages' files and headers promise; what people see on them is tested in `web/` with a browser."""

import gzip

import pytest

from service.pages import HEADERS, WEB
from tests.conftest import serving

pytestmark = pytest.mark.anyio
OURS = [
    path for path in WEB.rglob("*") if path.is_file() and "vendor" not in path.parts and path.suffix in (".js", ".css", ".html")
]


@pytest.fixture
async def client(settings):
    async with serving(settings) as one:
        yield one


@pytest.mark.parametrize("address", ["/", "/play/light", "/status", "/docs"])
async def test_every_page_is_the_same_file_with_strict_headers(client, address):
    answer = await client.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_files_are_sent_packed_and_asked_for_again_only_if_they_changed(client):
    answer = await client.get("/web/style.css")
    assert answer.headers["content-encoding"] == "gzip"
    assert {key.lower() for key in HEADERS} <= set(answer.headers)
    again = await client.get("/web/style.css", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


async def test_vendored_files_are_kept_for_ever(client):
    answer = await client.get("/web/vendor/htm-3.1.1/standalone.module.js")
    assert "immutable" in answer.headers["cache-control"]


async def test_no_file_leads_out_of_the_folder(client):
    for path in ("/web/../pages.py", "/web/%2e%2e/pages.py", "/web/..%2fpages.py"):
        assert (await client.get(path)).status_code == 404, path


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_file_of_ours_names_another_host(path):
    text = path.read_text().replace("http://www.w3.org/", "")
    assert "http://" not in text
    assert "https://" not in text


def test_all_pages_together_weigh_at_most_200_kb():
    packed = sum(
        len(gzip.compress(path.read_bytes(), 6))
        for path in WEB.rglob("*")
        if path.is_file() and not path.name.startswith("LICENSE")
    )
    assert packed <= 200_000, packed


def test_vendored_files_carry_their_licence():
    for folder in (WEB / "vendor").iterdir():
        assert (folder / "LICENSE").exists()


def test_every_module_opens_by_saying_what_it_knows():
    for path in OURS:
        if path.suffix == ".js":
            assert path.read_text().startswith("// "), path.name
