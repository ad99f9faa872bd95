"""The page of a model that labels texts, in a browser, against the real service and the shipped `reviews`."""

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.conftest import ROOT, Process, servers, write_words_version
from tests.service.web.conftest import Visit

TEXTS = {one["title"]: one["body"]["texts"][0] for one in json.loads((ROOT / "training/reviews.json").read_text())["samples"]}
LONG, DENIAL = TEXTS["More than 500 words"], TEXTS["Praise by denial"]
EMOJI = "😍 Not dull, superb!"
PATH = "/play/reviews"
MOST_CHARS = 200


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service whose model adds up four words, in two versions, and takes short texts only."""
    models_dir = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        write_words_version(models_dir, "four", version)
    with servers(tmp_path_factory.mktemp("own")) as begin:
        yield begin(models_dir=models_dir, max_chars=MOST_CHARS)


@pytest.fixture
def ask(site: Process) -> Callable[..., dict]:
    """What the service says of a text."""

    def one(text: str, **query: bool) -> dict:
        answer = httpx.post(f"{site.url}/v1/sentiment", params={"model": "reviews", **query}, json={"texts": [text]})
        return answer.raise_for_status().json()["predictions"][0]

    return one


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def write(page, text: str) -> None:
    """Type `text` in place of what stands there, and wait for its verdict."""
    with page.expect_response(lambda got: "/v1/sentiment" in got.url and got.request.post_data_json["texts"] == [text]):
        page.get_by_label("Text", exact=True).fill(text)
    page.wait_for_selector(".answer:not(.stale) .verdict")


def parts(page) -> list[tuple[str, str]]:
    """Each word of the result with what is said of it."""
    labels = page.locator(".words .word").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    return [tuple(label.rsplit(": ", 1)) for label in labels]


def test_a_verdict_stands_there_before_anything_is_touched(
    visit: Callable[..., Visit], site: Process, ask: Callable[..., dict]
):
    first = httpx.get(f"{site.url}/v1/models/reviews/samples").json()["samples"][0]["body"]["texts"][0]
    page = visit(PATH).page
    page.wait_for_selector(".verdict")
    expected = ask(first)
    assert page.get_by_label("Text", exact=True).input_value() == first
    assert expected["label"] in page.inner_text(".verdict")
    assert percent(expected["probability"]) in page.inner_text(".verdict")
    assert "in the server" in page.inner_text(".answer .timing")


def test_samples_say_what_is_true_of_them(visit: Callable[..., Visit], site: Process):
    samples = httpx.get(f"{site.url}/v1/models/reviews/samples").json()["samples"]
    page = visit(PATH).page
    page.wait_for_selector(".verdict")
    strip = page.get_by_role("group", name="Samples").get_by_role("button")
    assert strip.count() == len(samples) + 1  # and one to write one's own
    for index, sample in enumerate(samples):
        strip.nth(index).click()
        assert page.get_by_label("Text", exact=True).input_value() == sample["body"]["texts"][0]
        said = f"True label: {sample['truth']}; the model is" if sample["truth"] else re.compile(r"^\s*$")
        page.locator(".answer:not(.stale) .meant", has_text=said).wait_for(state="attached")
    strip.last.click()
    assert page.get_by_label("Text", exact=True).input_value() == ""


def test_every_word_has_its_part_its_sign_and_its_place_also_behind_an_emoji(
    visit: Callable[..., Visit], ask: Callable[..., dict]
):
    page = visit(PATH).page
    write(page, EMOJI)
    expected = ask(EMOJI, explain=True)
    side = 1 if expected["label"] == "positive" else -1
    told = expected["explanation"]
    assert told["words"][0]["text"] == "😍" == EMOJI[told["words"][0]["start"] : told["words"][0]["end"]]
    wanted = [(word["text"], side * word["contribution"], word["known"]) for word in told["words"]]
    for (text, said), (word, contribution, known) in zip(parts(page), wanted, strict=True):
        assert text == word
        assert said.startswith(f"{'+' if contribution >= 0 else '−'}{abs(contribution):.2f}")
        assert said.endswith(", unknown") is not known
    shown = page.locator(".words").inner_text()
    assert re.sub(r"[+−?]", "", shown) == EMOJI  # the text as it was sent, and marks
    sums = [round(side * told["base"], 2), round(side * told["log_odds"], 2)]
    assert all(f"{abs(value):.2f}" in page.get_by_text("Log-odds of “positive”").inner_text() for value in sums)
    strongest = max(wanted, key=lambda word: abs(word[1]))
    page.locator(".words .word", has_text=strongest[0]).first.hover()
    assert f"{abs(strongest[1]):.3f}" in page.locator(".words + .readout").inner_text()
    unknown = page.get_by_role("list", name="Legend").inner_text()
    assert "not in its vocabulary" in unknown
    assert percent(expected["unknown_share"]) in page.inner_text(".found")


def test_signs_and_colours_stand_for_the_same_label_whichever_is_likelier(visit: Callable[..., Visit]):
    page = visit(PATH).page
    for text, side in (("Superb, wonderful and moving.", "for"), ("Boring, stupid and awful.", "against")):
        write(page, text)
        classes = page.locator(".words .word").evaluate_all("all => all.map(one => one.className)")
        assert sum(side in one.split() for one in classes) > len(classes) / 2
        assert "speaks for “positive”" in page.inner_text(".marks")


def test_a_word_is_left_out_by_mouse_or_by_keys_and_the_page_says_what_that_changes(
    visit: Callable[..., Visit], ask: Callable[..., dict]
):
    page = visit(PATH).page
    write(page, DENIAL)
    before, after = ask(DENIAL), ask("There is not a single moment in it.")
    wanted = f"{percent(before['probabilities']['positive'])} → {percent(after['probabilities']['positive'])}"
    page.locator(".words .word", has_text="dull").click()
    page.wait_for_selector(".difference")
    assert wanted in page.inner_text(".difference")
    page.get_by_role("button", name="Undo").click()
    page.locator(".words .word").first.focus()
    for key in ("End", "Home", *["ArrowRight"] * 5):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.dataset.index") == "5"
    page.keyboard.press("Enter")
    page.wait_for_selector(".difference")
    assert wanted in page.inner_text(".difference")
    assert page.get_by_label("Text", exact=True).input_value() == DENIAL  # nothing is lost


def test_a_word_is_put_before_or_in_the_place_of_another_and_the_changed_text_is_taken(
    visit: Callable[..., Visit], ask: Callable[..., dict]
):
    page = visit(PATH).page
    write(page, "😍 A good film.")
    page.locator(".words .word", has_text="good").click()
    page.get_by_role("button", name="put a word before it").click()
    changed = "😍 A not good film."
    share = percent(ask(changed)["probabilities"]["positive"])
    page.locator(".difference", has_text=f"→ {share}").wait_for()
    page.get_by_role("button", name="put a word in its place").click()
    page.get_by_label("Word to put").fill("terrible")
    share = percent(ask("😍 A terrible film.")["probabilities"]["positive"])
    page.locator(".difference", has_text=f"→ {share}").wait_for()
    page.get_by_role("button", name="Take the changed text").click()
    assert page.get_by_label("Text", exact=True).input_value() == "😍 A terrible film."


def test_the_probability_after_each_word_is_read_along_the_text(visit: Callable[..., Visit], ask: Callable[..., dict]):
    page = visit(PATH).page
    write(page, DENIAL)
    after = ask(DENIAL, after=True)["after"]
    along = page.get_by_label("Up to which word")
    assert page.locator(".after polyline").get_attribute("points").count(",") == len(after)
    along.focus()
    page.keyboard.press("Home")
    for one, word in zip(after[:3], DENIAL.split(), strict=False):
        said = along.get_attribute("aria-valuetext")
        assert f"“{word}”: positive {percent(1 - one['probability'])}" in said  # the verdict is negative
        assert page.locator(".words .here").inner_text().startswith(word)
        page.keyboard.press("ArrowRight")
    box = page.locator(".after svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    assert "after 5 words" in along.get_attribute("aria-valuetext")


def test_of_a_long_text_what_was_not_read_is_marked_and_the_page_does_not_grow(
    visit: Callable[..., Visit], ask: Callable[..., dict]
):
    one = visit(PATH, width=320)
    write(one.page, LONG)
    cut = ask(LONG, explain=True)["explanation"]["cut"]
    shown = one.page.locator(".words .cut").evaluate("one => one.childNodes[1].textContent")
    assert shown == LONG[cut["start"] : cut["end"]]
    assert one.page.locator(".words .word").count() == len(LONG.split()) + 2 - cut["tokens"]
    assert f"{cut['tokens']} of them are more than it takes" in one.page.inner_text(".marks")
    assert one.page.locator(".words").evaluate("box => box.scrollHeight > box.clientHeight && box.clientHeight < 300")
    assert one.too_wide() <= 0


def test_the_later_of_two_quick_texts_wins(visit: Callable[..., Visit]):
    page = visit(PATH).page
    page.wait_for_selector(".verdict")
    held = []

    def hold(route) -> None:
        if "slow" in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/sentiment*", hold)
    with page.expect_request(lambda sent: "slow" in (sent.post_data or "")):
        page.get_by_label("Text", exact=True).fill("A slow and awful bore.")
    assert page.locator(".answer.stale .verdict").is_visible()  # the old one stays, greyed
    write(page, "Superb, a wonderful film.")
    verdict = page.inner_text(".verdict")
    for route in held:
        with contextlib.suppress(Exception):  # it was given up
            route.continue_()
    page.wait_for_timeout(200)
    assert page.inner_text(".verdict") == verdict
    assert verdict.startswith("positive")


def test_an_empty_text_has_a_message_and_no_verdict(visit: Callable[..., Visit]):
    one = visit(PATH)
    one.page.wait_for_selector(".verdict")
    box = one.page.get_by_label("Text", exact=True)
    for text in ("", "   "):
        box.fill(text)
        assert box.get_attribute("aria-invalid") == "true"
        assert "no verdict" in one.page.inner_text("#text-problem")
        one.page.locator(".verdict").first.wait_for(state="hidden")
    assert one.axe() == []
    box.fill(" - , .")
    one.page.wait_for_selector("text=There is no word in this text")
    one.page.locator(".verdict").first.wait_for(state="hidden")


def test_what_is_refused_is_said_beside_the_field_and_nothing_is_lost(visit: Callable[..., Visit], own: Process):
    page = visit("/play/four", url=own.url, expected=("413",)).page
    page.wait_for_selector(".verdict")
    box = page.get_by_label("Text", exact=True)
    long = "film " * MOST_CHARS
    box.fill(long)
    page.wait_for_selector("#text-problem")
    assert str(MOST_CHARS) in page.inner_text("#text-problem")
    assert box.get_attribute("aria-invalid") == "true"
    assert box.input_value() == long
    assert page.locator(".problem").count() == 1
    box.fill("superb film")
    page.wait_for_selector("#text-problem", state="detached")


def test_two_versions_stand_beside_each_other(visit: Callable[..., Visit], own: Process):
    page = visit("/play/four?version=1&against=2&text=superb%20film", url=own.url).page
    page.locator(".answer .verdict").nth(1).wait_for()
    assert all("positive" in one for one in page.locator(".verdict").all_inner_texts())
    page.locator(".words .word").first.click()
    page.locator(".difference").nth(1).wait_for()


def test_of_more_than_two_labels_the_likeliest_is_told(visit: Callable[..., Visit]):
    page = visit(PATH).page
    told = page.evaluate("""async () => {
      const {towards} = await import("/web/families/sentiment.js");
      const words = [{text: "a", start: 0, end: 1, contribution: 0.5, known: true}];
      return towards({label: "ham", probability: 0.5, probabilities: {eggs: 0.3, ham: 0.5, spam: 0.2},
        explanation: {log_odds: 0.7, base: 0.2, words, cut: null}, after: [{words: 1, end: 1, probability: 0.5}]});
    }""")
    assert (told["label"], told["logOdds"], told["words"][0]["part"], told["after"][0]["probability"]) == ("ham", 0.7, 0.5, 0.5)


def test_the_address_holds_what_is_on_the_page(visit: Callable[..., Visit]):
    one = visit(PATH)
    write(one.page, EMOJI)
    one.page.locator(".words .word", has_text="dull").click()
    one.page.get_by_role("button", name="put a word in its place").click()
    with one.page.expect_response(lambda got: "funny" in (got.request.post_data or "")):
        one.page.get_by_label("Word to put").fill("funny")
    one.page.wait_for_selector(".change .answer:not(.stale) .difference")
    before = one.page.inner_text(".difference")
    again = visit(one.page.url.removeprefix(one.page.url.split("/play")[0])).page
    again.wait_for_selector(".difference")
    assert again.get_by_label("Text", exact=True).input_value() == EMOJI
    assert again.inner_text(".difference") == before
    write(one.page, LONG)
    assert "text=" not in one.page.url  # too long for an address


def test_the_copied_request_gives_what_is_on_the_page(visit: Callable[..., Visit]):
    page = visit(PATH).page
    text = "It's “superb”, $HOME & 'more' 😍"
    write(page, text)
    page.get_by_role("button", name="Copy").click()
    page.wait_for_selector("text=Copied.")
    command = page.evaluate("navigator.clipboard.readText()")
    found = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True).stdout
    (prediction,) = json.loads(found)["predictions"]
    assert percent(prediction["probability"]) in page.inner_text(".verdict")
    assert [word["text"] for word in prediction["explanation"]["words"]] == [word for word, _ in parts(page)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everyone_can_use_it(visit: Callable[..., Visit], theme: str):
    one = visit(f"{PATH}?text={EMOJI}", theme=theme)
    one.page.wait_for_selector(".verdict")
    one.page.locator(".words .word").nth(1).click()
    one.page.wait_for_selector(".difference")
    assert one.axe() == []


def test_it_is_narrow_and_every_control_is_reached_by_the_tab_key(visit: Callable[..., Visit]):
    one = visit(f"{PATH}?text={EMOJI}", width=320)
    one.page.wait_for_selector(".verdict")
    one.page.locator(".words .word").nth(1).click()
    one.page.wait_for_selector(".difference")
    assert one.too_wide() <= 0
    controls = "main button:not(:disabled), main textarea, main input:not(:disabled), main summary, main .word[tabindex='0']"
    one.page.evaluate("document.activeElement.blur()")
    wanted = one.page.locator(controls).count()
    reached = set()
    for _ in range(wanted + 25):
        one.page.keyboard.press("Tab")
        reached.add(one.page.evaluate(f"[...document.querySelectorAll(`{controls}`)].indexOf(document.activeElement)"))
    assert len(reached - {-1}) == wanted
    sizes = one.page.locator(controls).evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert min(sizes) >= 24
    one.page.get_by_role("status").filter(has_text="the strongest word is").wait_for(state="attached")
