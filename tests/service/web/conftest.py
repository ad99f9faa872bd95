"""A real browser in front of a real service with the shipped models. Every page that is visited is watched: an error on its
console, an exception, or a request to another host fails the test."""

import gc
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ROOT, Process, servers

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = Path(__file__).parent / "axe-core-4.14.1" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WAIT_MS = 10_000


@pytest.fixture(scope="module")  # not longer: its event loop runs as long, and tests of coroutines have their own
def browser() -> Iterator["playwright.Browser"]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI has no Chromium: .ci/run installs it")
        pytest.skip("no Chromium here")
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()
    with warnings.catch_warnings():  # Playwright lets go of its driver's process before anybody asked how it ended
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The service with the versions of this repository."""
    with servers(tmp_path_factory.mktemp("site")) as begin:
        yield begin(models_dir=ROOT / "models")


@dataclass
class Visit:
    """An open page and what went wrong on it."""

    page: "playwright.Page"
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of faults that the test itself brings about, such as a service that is stopped."""

    def unexpected(self) -> list[str]:
        return [fault for fault in self.faults if not any(part in fault for part in self.expected)]

    def axe(self) -> list[str]:
        """Violations of WCAG 2.2 A and AA that axe finds: rule, and where."""
        self.page.wait_for_timeout(200)  # colours that fade are not judged half way
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}}).then(found => found.violations)", TAGS
        )
        return [f"{one['id']}: {node['target']} {node['failureSummary'][:200]}" for one in found for node in one["nodes"]]

    def too_wide(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def visit(browser: "playwright.Browser", site: Process) -> Iterator[Callable[..., Visit]]:
    """Open `path` of the site. `theme`: light or dark; `width` in pixels; `touch`; `expected`: faults that may be."""
    visits: list[Visit] = []
    contexts = []

    def go(path: str, theme: str = "light", width: int = 1280, touch: bool = False, url: str = "", **more: object) -> Visit:
        home = url or site.url
        options = {"reduced_motion": "reduce", **more.pop("context", {})}
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, has_touch=touch,
            permissions=["clipboard-read", "clipboard-write"], **options,
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        one = Visit(page, expected=tuple(more.pop("expected", ())))
        visits.append(one)
        page.on(
            "console", lambda said: one.faults.append(f"console: {said.text}") if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: one.faults.append(f"exception: {error}"))

        def local(route: "playwright.Route") -> None:
            if route.request.url.startswith((home, "data:", "blob:")):
                route.continue_()
            else:
                one.faults.append(f"another host: {route.request.url}")
                route.abort()

        context.route("**/*", local)
        page.goto(home + path)
        return one

    yield go
    for one in visits:
        faults = one.unexpected()
        assert not faults, faults
    for context in contexts:
        context.close()
