"""Every page alike: first result, accessibility in both themes, narrow windows, the keyboard, weight, and no other host.

`make screenshots` keeps a picture of each page, light and dark, wide and narrow, in build/screenshots.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT

MODELS = sorted(path.name for path in (ROOT / "models").iterdir())
PAGES = ["/", *(f"/play/{name}" for name in MODELS), "/status", "/docs"]
SHOTS = Path("build/screenshots")
SETTLED = {"/": ".thumbnail > :first-child", "/status": ".wide-table", "/docs": "section"}
"""What is there once a page has its first result."""
FIRST_S = 1.0
REACHED = "a[href], button, input, select, textarea, summary, [tabindex='0']"


def settled(page, path: str) -> None:
    """Wait for the first result."""
    page.locator(SETTLED.get(path, ".answer :not(.timing, .note)")).first.wait_for()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_narrow_enough_in_both_themes(visit, path):
    one = visit(path)
    settled(one.page, path)
    assert one.axe() == []
    one.page.set_viewport_size({"width": 320, "height": 800})
    one.page.emulate_media(color_scheme="dark")
    assert one.axe() == []
    assert one.too_wide() <= 0


@pytest.mark.parametrize("name", MODELS)
def test_the_request_is_copied_as_curl_python_and_json_and_each_gives_the_same(visit, site, name):
    one = visit(f"/play/{name}")
    settled(one.page, f"/play/{name}")
    texts = {}
    panel = one.page.get_by_role("region", name="The request")
    for way in ("curl", "Python", "JSON"):
        panel.get_by_role("button", name=way, exact=True).click()
        panel.get_by_role("button", name="Copy").click()
        panel.get_by_text("Copied.").wait_for()
        texts[way] = one.page.evaluate("navigator.clipboard.readText()")
    by_curl = subprocess.run(["bash"], input=texts["curl"], capture_output=True, text=True, check=True).stdout
    code = texts["Python"].replace("print(answer.json())", "print(answer.text)")
    by_python = subprocess.run(
        [sys.executable, "-c", "import sys; exec(sys.stdin.read())"], input=code, capture_output=True, text=True, check=True
    ).stdout
    address = re.search(r"curl '([^']+)'", texts["curl"])[1]
    by_json = httpx.post(address, content=texts["JSON"], headers={"Content-Type": "application/json"}).text
    assert json.loads(by_curl)["predictions"]
    assert json.loads(by_curl) == json.loads(by_python) == json.loads(by_json)
    assert json.loads(by_curl)["model"] == name


@pytest.mark.parametrize("path", ["/", "/play/digits"])
def test_the_first_result_is_there_within_a_second(visit, path):
    took = []
    for _ in range(5):  # other tests share the two cores: the best of them is the page's own
        one = visit(path)
        settled(one.page, path)
        took.append(one.page.evaluate("performance.now()") / 1e3)
        if took[-1] <= FIRST_S:
            break
    assert min(took) <= 2 * FIRST_S, took


@pytest.mark.parametrize("path", PAGES)
def test_every_control_is_reached_by_tab_and_shows_it(visit, path):
    one = visit(path)
    settled(one.page, path)
    one.page.evaluate(
        "query => [...document.querySelectorAll(query)].forEach((one, index) => { one.dataset.test = index; })", REACHED
    )
    wanted = set(
        one.page.evaluate(
            """query => [...document.querySelectorAll(query)]
                .filter(one => !one.disabled && one.tabIndex >= 0 && one.checkVisibility({visibilityProperty: true}) && one.type !== "radio")
                .map(one => one.dataset.test)""",
            REACHED,
        )
    )
    seen = set()
    for _ in range(len(wanted) + 40):
        one.page.keyboard.press("Tab")
        seen.add(one.page.evaluate("document.activeElement.dataset.test ?? null"))
        if wanted <= seen:
            break
    assert wanted <= seen, sorted(wanted - seen)


def test_a_model_that_is_not_there_is_said_in_words(visit):
    one = visit("/play/nothing", expected=("404",))
    assert "nothing" in one.page.get_by_role("alert").inner_text()
    assert one.axe() == []


def test_an_address_without_a_page_leads_back(visit, site):
    one = visit("/play/digits/more", expected=("404",))
    assert "/docs lists what there is" in one.page.content()


def test_a_theme_that_is_chosen_stays(visit):
    one = visit("/")
    one.page.get_by_label("Colours").select_option("dark")
    one.page.reload()
    assert one.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert one.page.get_by_label("Colours").input_value() == "dark"


def test_five_pages_at_once_are_all_answered(visit):
    pages = ["/play/digits", "/play/reviews", "/play/oil", "/play/words", "/play/codes"]
    for path, one in [(path, visit(path)) for path in pages]:
        settled(one.page, path)


def test_a_service_that_goes_away_mid_request_is_said_in_words_and_the_last_result_stays(visit):
    one = visit("/play/reviews", expected=("ERR_INTERNET_DISCONNECTED", "ERR_FAILED"))
    settled(one.page, "/play/reviews")
    before = one.page.locator(".verdict").first.inner_text()
    one.page.context.set_offline(True)
    text = one.page.get_by_role("textbox", name="Text").first
    text.fill("A dull film.")
    one.page.get_by_text("The service does not answer").first.wait_for()
    assert one.page.locator(".verdict").first.inner_text() == before
    assert text.input_value() == "A dull film."
    assert one.axe() == []
    one.page.context.set_offline(False)
    text.fill("A dull, wooden film.")
    one.page.locator(".answer:not(.stale) .verdict", has_text="negative").wait_for()
    one.page.get_by_text("The service does not answer").first.wait_for(state="hidden")


OBSERVE = """() => {
  window.durations = [];
  new PerformanceObserver(list => list.getEntries().forEach(one => {
    if (one.name === "keydown") window.durations.push(one.duration);
  })).observe({type: "event", durationThreshold: 16, buffered: false});
}"""


def test_what_is_typed_is_painted_at_once(visit):
    one = visit("/play/reviews")
    settled(one.page, "/play/reviews")
    one.page.evaluate(OBSERVE)
    one.page.get_by_role("textbox", name="Text").first.press_sequentially(" A superb ending.", delay=40)
    one.page.wait_for_timeout(300)
    durations = sorted(one.page.evaluate("window.durations") or [0])
    assert durations[len(durations) // 2] <= 100, durations


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_picture_of_the_page_is_kept(visit, path, theme, width):
    one = visit(path, theme=theme, width=width)
    settled(one.page, path)
    one.page.wait_for_timeout(700)
    SHOTS.mkdir(parents=True, exist_ok=True)
    name = path.strip("/").replace("/", "-") or "start"
    one.page.screenshot(path=SHOTS / f"{name}-{theme}-{width}.png", full_page=True)
    assert one.too_wide() <= 0
