"""The page of a model of words and its map, in a browser, against the real service and the shipped `words`."""

import contextlib
import json
import math
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service.manifest import MANIFEST
from service.planes import MAP
from tests.conftest import Process, servers, write_vectors_version
from tests.service.web.conftest import Visit

PATH = "/play/words"
AIRPORTS = {f"dest={name}": (1.0, number, 0.5) for number, name in enumerate(("ATL", "BOS", "DEN", "JFK", "LAX"))}
READY = ".answer:not(.stale) .bars"


def write_without_map(models_dir: Path) -> None:
    """A model of a table's values, published without a map."""
    folder = write_vectors_version(models_dir, "airports", vectors=AIRPORTS, columns=("dest",))
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["files"][MAP], manifest["sha256"]
    (folder / MAP).unlink()
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    models_dir = tmp_path_factory.mktemp("models")
    write_without_map(models_dir)
    with servers(tmp_path_factory.mktemp("own")) as begin:
        yield begin(models_dir=models_dir)


@pytest.fixture
def ask(site: Process) -> Callable[..., dict]:
    """What the service says to a body."""

    def one(verb: str, **body: object) -> dict:
        answer = httpx.post(f"{site.url}/v1/{verb}", params={"model": "words"}, json=body)
        return answer.raise_for_status().json()["predictions"][0]

    return one


@pytest.fixture
def opened(visit: Callable[..., Visit]) -> Callable[..., Visit]:
    """Open the page and wait for its first answer."""

    def go(query: str = "?word=brilliant", **more: object) -> Visit:
        one = visit(PATH + query, **more)
        one.page.wait_for_selector(READY)
        one.page.wait_for_selector("canvas")
        return one

    return go


def listed(page) -> list[str]:
    return page.locator(".answer .bars th").all_inner_texts()


def choose(page, label: str, word: str) -> None:
    """Write `word` into a field and press Enter."""
    field = page.get_by_label(label, exact=True)
    field.fill(word)
    field.press("Enter")


def where(page, word: str) -> dict[str, float]:
    """Pixels of the window at which the map shows `word` now."""
    return page.evaluate(
        """async word => {
      const {scaled, projection} = await import("/web/map.js");
      const map = await (await fetch("/v1/map?model=words")).json();
      const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect(), points = scaled(map);
      const view = {scale: Number(canvas.dataset.scale), x: Number(canvas.dataset.x), y: Number(canvas.dataset.y)};
      const at = map.words.indexOf(word), [x, y] = projection(view, box.width, box.height).pixel(points.x[at], points.y[at]);
      return {x: x + box.left, y: y + box.top, middleX: box.left + box.width / 2, middleY: box.top + box.height / 2};
    }""",
        word,
    )


def far_from_the_middle(page, word: str) -> float:
    place = where(page, word)
    return math.hypot(place["x"] - place["middleX"], place["y"] - place["middleY"])


def view(page) -> tuple[float, float, float]:
    data = page.locator("canvas").evaluate("canvas => ({...canvas.dataset})")
    return float(data["scale"]), float(data["x"]), float(data["y"])


def test_neighbours_of_the_first_sample_stand_there_before_anything_is_touched(
    opened: Callable[..., Visit], site: Process, ask: Callable[..., dict]
):
    word = httpx.get(f"{site.url}/v1/models/words/samples").json()["samples"][0]["body"]["words"][0]
    page = opened("").page
    expected = ask("neighbors", word=word, k=10)["neighbors"]
    assert page.get_by_label("Word", exact=True).input_value() == word
    assert listed(page) == [one["word"] for one in expected]
    assert [float(one) for one in page.locator(".answer .bars .number").all_inner_texts()] == [
        pytest.approx(one["similarity"], abs=6e-4) for one in expected
    ]
    assert "in the server" in page.inner_text(".answer .timing")


def test_a_word_is_chosen_from_the_list_by_keys(opened: Callable[..., Visit], site: Process):
    page = opened().page
    field = page.get_by_role("combobox", name="Word")
    field.fill("zomb")
    option = page.locator(".listbox [role=option]")
    option.first.wait_for()
    offered = httpx.get(f"{site.url}/v1/vocabulary", params={"model": "words", "prefix": "zomb", "limit": 8}).json()["words"]
    assert option.evaluate_all("all => all.map(one => one.firstChild.innerText)") == [one["word"] for one in offered]
    assert f"{offered[1]['count']:,}" in option.nth(1).inner_text()
    assert field.get_attribute("aria-expanded") == "true"
    for _ in range(2):
        field.press("ArrowDown")
    assert page.locator(f"#{field.get_attribute('aria-activedescendant')}").get_attribute("aria-selected") == "true"
    field.press("Enter")
    page.locator(".answer:not(.stale) .note", has_text=f"Not listed: {offered[1]['word']}").wait_for()
    assert field.input_value() == offered[1]["word"]
    field.fill("zombi")
    option.first.wait_for()
    field.press("Escape")
    option.first.wait_for(state="hidden")
    assert field.get_attribute("aria-expanded") == "false"


def test_a_word_is_chosen_by_mouse_and_a_neighbour_by_a_click(opened: Callable[..., Visit]):
    page = opened().page
    page.get_by_label("Word", exact=True).fill("directo")
    page.locator(".listbox [role=option]", has_text="director").first.click()
    page.locator(".answer:not(.stale) .note", has_text="Not listed: director").wait_for()
    neighbour = listed(page)[1]
    page.get_by_role("button", name=neighbour, exact=True).click()
    page.locator(".answer:not(.stale) .note", has_text=f"Not listed: {neighbour};").wait_for()
    assert page.get_by_label("Word", exact=True).input_value() == neighbour
    page.get_by_label("How many words, number").fill("3")
    page.keyboard.press("Tab")
    page.locator(".answer .bars tr").nth(3).wait_for(state="detached")
    assert len(listed(page)) == 3


def test_an_unknown_word_says_so_beside_the_field_and_offers_near_spellings(
    opened: Callable[..., Visit], ask: Callable[..., dict]
):
    one = opened()
    choose(one.page, "Word", "brillinat")
    unknown = ask("neighbors", word="brillinat")["unknown"][0]
    one.page.wait_for_selector("#field-word-problem")
    field = one.page.get_by_label("Word", exact=True)
    assert unknown["error"] in one.page.inner_text("#field-word-problem")
    assert (field.get_attribute("aria-describedby"), field.get_attribute("aria-invalid")) == ("field-word-problem", "true")
    assert field.input_value() == "brillinat"
    near = one.page.get_by_role("group", name="Near spellings").get_by_role("button")
    assert near.all_inner_texts() == unknown["near"]
    assert one.axe() == []
    near.first.click()
    one.page.locator(".answer:not(.stale) .note", has_text=f"Not listed: {unknown['near'][0]}").wait_for()
    choose(one.page, "Word", " ")
    one.page.locator("#field-word-problem", has_text="Write a word").wait_for()
    one.page.locator(".answer .bars").wait_for(state="detached")


def test_an_analogy_says_what_it_leaves_out(opened: Callable[..., Visit], ask: Callable[..., dict]):
    page = opened().page
    page.get_by_role("button", name="Analogy").click()
    page.wait_for_selector(".answer:not(.stale) .sum")
    first = ask("analogy", positive=["king", "woman"], negative=["man"])["neighbors"]
    assert page.inner_text(".sum") == f"king − man + woman ≈ {first[0]['word']}"
    assert listed(page) == [one["word"] for one in first]
    assert "Not listed: king, woman, man" in page.inner_text(".answer")
    choose(page, "less", "boy")
    choose(page, "Word", "brother")
    choose(page, "plus", "girl")
    best = ask("analogy", positive=["brother", "girl"], negative=["boy"])["neighbors"][0]["word"]
    page.locator(".sum", has_text=f"brother − boy + girl ≈ {best}").wait_for()
    page.get_by_role("button", name="better − good + bad").click()
    page.locator(".sum", has_text="better − good + bad").wait_for()
    assert page.get_by_label("less", exact=True).input_value() == "good"


def test_two_words_are_compared_and_the_odd_one_is_found(opened: Callable[..., Visit], ask: Callable[..., dict]):
    page = opened("?tool=similarity&one=film&other=movie").page
    similarity = ask("similarity", pairs=[["film", "movie"]])["similarity"]
    assert page.inner_text(".answer .verdict").startswith(f"{similarity:.3f}")
    choose(page, "and word", "lawnmower")
    page.locator(".answer:not(.stale) .verdict", has_text="lawnmower").wait_for()
    assert float(page.inner_text(".answer .verdict").split()[0]) < similarity
    page.get_by_role("button", name="Odd one out").click()
    page.locator(".answer:not(.stale) .verdict", has_text="zombie").wait_for()
    choose(page, "third", "supper")
    choose(page, "fourth", "lawsuit")
    page.locator(".answer:not(.stale) .verdict", has_text="lawsuit").wait_for()


def test_the_map_shows_the_neighbours_and_a_click_chooses_a_word(opened: Callable[..., Visit], ask: Callable[..., dict]):
    page = opened().page
    canvas = page.get_by_role("img", name="Map of words")
    near = [one["word"] for one in ask("neighbors", word="brilliant")["neighbors"]]
    on_map = [word for word in near if page.evaluate("async word => (await (await fetch('/v1/map?model=words')).json()).words.includes(word)", word)]  # fmt: skip
    assert all(word in canvas.get_attribute("aria-label") for word in ("brilliant", *on_map))
    assert f"{len(on_map) + 1} are among" in page.inner_text("figcaption")
    assert far_from_the_middle(page, "brilliant") < 2
    place = where(page, on_map[-1])
    page.mouse.move(place["x"], place["y"])
    page.locator(".pointed", has_text=on_map[-1]).wait_for()
    page.mouse.click(place["x"], place["y"])
    page.locator(".answer:not(.stale) .note", has_text=f"Not listed: {on_map[-1]};").wait_for()
    assert far_from_the_middle(page, on_map[-1]) < 2


def test_the_map_is_moved_by_drag_wheel_and_buttons(opened: Callable[..., Visit]):
    page = opened().page
    scale, x, y = view(page)
    box = page.locator("canvas").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 40, steps=4)
    page.mouse.up()
    assert view(page)[0] == scale
    assert view(page)[1] < x
    assert view(page)[2] > y
    assert page.get_by_label("Word", exact=True).input_value() == "brilliant"  # a drag is no click
    page.mouse.wheel(0, -300)
    page.locator(f"canvas:not([data-scale='{scale:.2f}'])").wait_for()
    assert view(page)[0] > scale
    page.get_by_role("button", name="Show all").click()
    assert view(page) == (1, 0, 0)
    page.mouse.move(*middle)
    page.mouse.wheel(0, 300)  # as far away as can be: the page scrolls
    page.locator("html").evaluate("() => new Promise(done => { const look = () => scrollY > 0 ? done() : requestAnimationFrame(look); look(); })")  # fmt: skip
    page.get_by_role("button", name="Zoom in").click()
    assert view(page)[0] > 1
    page.get_by_role("button", name="Zoom out").click()
    assert view(page)[0] == 1


def test_the_map_is_walked_and_a_word_chosen_by_keys_alone(opened: Callable[..., Visit]):
    page = opened().page
    page.get_by_role("application", name="Map of").focus()
    page.keyboard.press("ArrowLeft")
    first = page.inner_text(".pointed")
    page.keyboard.press("ArrowUp")
    second = page.inner_text(".pointed")
    assert len({first.strip(), second.strip(), ""}) == 3
    scale = view(page)[0]
    page.keyboard.press("+")
    assert view(page)[0] > scale
    page.keyboard.press("0")
    assert view(page)[0] == 1
    page.keyboard.press("Enter")
    page.locator(".answer:not(.stale) .note", has_text=f"Not listed: {second};").wait_for()


def test_the_map_is_moved_by_a_finger_where_it_is_larger_than_its_frame(opened: Callable[..., Visit]):
    page = opened(touch=True, width=400).page
    canvas = page.locator("canvas")
    canvas.scroll_into_view_if_needed()
    assert canvas.evaluate("one => one.style.touchAction") == "none"
    before, box = view(page), canvas.bounding_box()
    finger = page.context.new_cdp_session(page)
    start = {"x": box["x"] + 150, "y": box["y"] + 100}
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    for step in range(1, 5):
        moved = {"x": start["x"] + 15 * step, "y": start["y"] + 10 * step}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert view(page)[1] < before[1]
    assert view(page)[2] > before[2]
    page.get_by_role("button", name="Show all").click()  # Chromium takes a tap so soon after a drag for the end of it
    page.locator("canvas[style*='pan-y']").wait_for()  # a finger scrolls the page
    apart = [
        [{"x": box["x"] + 150 - far, "y": start["y"]}, {"x": box["x"] + 150 + far, "y": start["y"]}] for far in (20, 40, 60)
    ]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": apart[0]})
    for both in apart[1:]:
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": both})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert view(page)[0] > 2


def test_a_word_is_found_on_the_map(opened: Callable[..., Visit]):
    page = opened().page
    page.get_by_label("Find on the map").fill("Zombie")
    assert "“zombie” is in the middle" in page.inner_text("#find-note")
    assert far_from_the_middle(page, "zombie") < 2
    page.get_by_label("Find on the map").fill("qqq")
    assert "None of the map's 2,000 words" in page.inner_text("#find-note")


def test_the_later_of_two_quick_words_wins(opened: Callable[..., Visit]):
    page = opened().page
    held = []

    def hold(route) -> None:
        if "director" in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/neighbors*", hold)
    with page.expect_request(lambda sent: "director" in (sent.post_data or "")):
        choose(page, "Word", "director")
    assert page.locator(".answer.stale .bars").is_visible()
    choose(page, "Word", "zombie")
    page.locator(".answer:not(.stale) .note", has_text="Not listed: zombie").wait_for()
    expected = listed(page)
    for route in held:
        with contextlib.suppress(Exception):  # it was given up
            route.continue_()
    page.wait_for_timeout(200)
    assert listed(page) == expected


def test_the_address_holds_what_is_on_the_page(opened: Callable[..., Visit], site: Process):
    page = opened("?tool=analogy").page
    choose(page, "Word", "actor")
    page.locator(".sum", has_text="actor − man + woman").wait_for()
    page.get_by_label("How many words, number").fill("4")
    page.keyboard.press("Tab")
    page.locator(".answer .bars tr").nth(4).wait_for(state="detached")
    before = listed(page)
    again = opened(page.url.removeprefix(site.url + PATH)).page
    assert listed(again) == before
    assert again.get_by_label("Word", exact=True).input_value() == "actor"


def test_the_copied_request_gives_what_is_on_the_page(opened: Callable[..., Visit]):
    page = opened().page
    page.get_by_role("button", name="Copy").click()
    page.wait_for_selector("text=Copied.")
    found = subprocess.run(
        ["bash", "-c", page.evaluate("navigator.clipboard.readText()")], capture_output=True, check=True
    ).stdout
    assert [one["word"] for one in json.loads(found)["predictions"][0]["neighbors"]] == listed(page)


def test_a_model_of_a_table_without_a_map_needs_no_english(visit: Callable[..., Visit], own: Process):
    page = visit("/play/airports", url=own.url, expected=("404",)).page
    page.wait_for_selector(READY)
    first = page.get_by_label("Word", exact=True).input_value()
    assert first in AIRPORTS
    assert set(listed(page)) == set(AIRPORTS) - {first}
    page.locator(".card .note", has_text="has no map").wait_for()
    assert not page.locator("canvas").count()
    choose(page, "Word", "JFK")
    page.locator(".answer:not(.stale) .note", has_text="Not listed: dest=JFK").wait_for()
    for tool, label in (("Analogy", "plus"), ("Similarity", "and word"), ("Odd one out", "fourth")):
        page.get_by_role("button", name=tool).click()
        page.wait_for_selector(READY)
        assert page.get_by_label(label, exact=True).input_value() in AIRPORTS
        assert not page.get_by_role("group", name="Examples").count()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everyone_can_use_it(opened: Callable[..., Visit], theme: str):
    one = opened(theme=theme)
    one.page.get_by_label("Word", exact=True).fill("zomb")
    one.page.locator(".listbox [role=option]").first.wait_for()
    one.page.keyboard.press("ArrowDown")
    assert one.axe() == []


def test_it_is_narrow_and_every_control_is_reached_by_the_tab_key(opened: Callable[..., Visit]):
    one = opened("?tool=analogy", width=320)
    one.page.locator(".samples button").first.wait_for()
    assert one.too_wide() <= 0
    controls = "main button, main input, main summary, main [role='application']"
    one.page.evaluate("document.activeElement.blur()")
    wanted = one.page.locator(controls).count()
    reached = set()
    for _ in range(wanted + 15):
        one.page.keyboard.press("Tab")
        reached.add(one.page.evaluate(f"[...document.querySelectorAll(`{controls}`)].indexOf(document.activeElement)"))
    assert len(reached - {-1}) == wanted
    sizes = one.page.locator(controls).evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert min(sizes) >= 24
    one.page.get_by_role("status").filter(has_text="The nearest is").wait_for(state="attached")
