"""The pages of models that make pictures again: noise and its removal, how unusual a picture is, walks, planes, pictures made up."""

import base64
import io
import json
import re
import subprocess

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.web.strokes import FIRST
from tests.service.web.test_classifier import draw


def decoded(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.rsplit(",", 1)[-1]))).convert("L"), np.float64)


def shown(page, title):
    """The picture that stands under a title, as numbers."""
    return decoded(page.get_by_role("img", name=title, exact=True).get_attribute("src"))


def stated(page, title):
    """The decibels that stand under a picture."""
    text = page.locator(".framed", has=page.get_by_role("img", name=title, exact=True)).locator("p").inner_text()
    return float(re.fullmatch(r"([\d.]+) dB", text)[1])


def settled(page):
    """Wait until what is shown answers what was asked."""
    page.wait_for_selector(".answer[aria-busy=false] .picture")
    page.wait_for_function("() => !document.querySelector('.answer[aria-busy=true]')")


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one - other) ** 2))


@pytest.fixture
def denoiser(visit):
    one = visit("/play/denoiser")
    settled(one.page)
    return one


def test_noise_is_there_untouched_and_taken_away_with_what_that_gains_in_decibels(denoiser):
    page = denoiser.page
    original, noisy, restored = (shown(page, title) for title in ("Original", "With noise", "Restored"))
    page.locator(".framed").filter(has_text="Restored").get_by_text("dB").wait_for()
    assert stated(page, "With noise") == pytest.approx(psnr(original, noisy), abs=0.06)
    assert stated(page, "Restored") == pytest.approx(psnr(original, restored), abs=0.06)
    assert stated(page, "Restored") > stated(page, "With noise") + 5
    middle = noisy[(original == 0) & (noisy > 0)]  # half of the black pixels' noise is cut off at black
    assert np.sqrt(np.mean(middle[middle < 255] ** 2)) == pytest.approx(0.45 * 255, rel=0.1)


def test_the_address_restores_the_same_noise(denoiser):
    page = denoiser.page
    before = shown(page, "With noise")
    page.get_by_label("Noise: standard deviation, of the range from black to white", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**noise=0.45*")
    page.get_by_role("button", name="Another").click()
    page.get_by_role("list", name="Samples").get_by_role("button").nth(3).click()
    page.wait_for_url("**sample=3*")
    settled(page)
    noisy, restored = shown(page, "With noise"), shown(page, "Restored")
    assert (noisy != before).any()
    page.reload()
    settled(page)
    assert (shown(page, "With noise") == noisy).all()
    assert (shown(page, "Restored") == restored).all()


def test_the_later_of_two_levels_of_noise_wins(denoiser):
    page = denoiser.page
    held = []
    page.route("**/v1/denoise*", lambda route: held.append(route) if not held else route.continue_())
    level = page.get_by_label("Noise: standard deviation, of the range from black to white, number")
    level.fill("0.9")
    level.press("Tab")
    page.wait_for_timeout(100)
    level.fill("0.1")
    level.press("Tab")
    settled(page)
    restored = shown(page, "Restored")
    held[0].continue_()
    page.wait_for_timeout(200)
    assert (shown(page, "Restored") == restored).all()
    assert psnr(shown(page, "Original"), restored) > 20


def test_the_request_that_is_copied_gives_the_picture_that_is_shown(denoiser, tmp_path):
    page = denoiser.page
    page.locator("button.copy").click()
    page.get_by_text("Copied.").wait_for()
    script = tmp_path / "asked.sh"
    script.write_text(page.evaluate("navigator.clipboard.readText()"))
    answer = json.loads(subprocess.run(["bash", script], capture_output=True, check=True).stdout)
    assert (decoded(answer["predictions"][0]["image"]) == shown(page, "Restored")).all()


def test_a_scribble_is_more_unusual_than_a_digit(visit):
    page = visit("/play/codes?tab=again").page
    settled(page)
    said = page.locator(".unusual strong")

    def unusual():
        settled(page)
        return 100 if "all" in (text := said.inner_text()) else int(re.search(r"than (\d+) of 100", text)[1])

    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Draw something, or choose a sample.").first.wait_for()
    draw(page, FIRST["0"])
    page.wait_for_url("**drawing=*")
    digit = unusual()
    nought = shown(page, "Original")
    assert 19 <= np.ptp(np.flatnonzero((nought > 60).any(1))) + 1 <= 21  # framed as MNIST's digits are
    before = said.inner_text()
    draw(page, ["10 15, 90 20, 15 40, 85 55, 20 70, 90 90", "15 90, 80 10", "50 5, 45 95"])
    page.wait_for_function("before => document.querySelector('.unusual strong').innerText !== before", arg=before)
    assert unusual() > max(digit, 95)


def test_a_walk_goes_from_the_picture_to_a_sample_by_slider_and_stands_still_by_itself(visit):
    page = visit("/play/codes?tab=walk&sample=2&to=7").page
    settled(page)
    frames = page.locator(".film img")
    assert frames.count() == 16
    page.get_by_label("Step 8 of 16", exact=True).focus()
    page.keyboard.press("End")
    page.get_by_role("img", name="Step 16 of 16").wait_for()
    assert "step=16" in page.url
    samples = page.get_by_role("list", name="Where the walk ends").get_by_role("button")
    assert psnr(shown(page, "Step 16 of 16"), decoded(samples.nth(7).locator("img").get_attribute("src"))) > 14
    assert page.get_by_role("button", name="Play").count() == 0  # the tests' browser asks for less motion
    assert page.get_by_text("Nothing moves by itself").is_visible()


def test_play_moves_a_walk_until_it_is_paused(visit):
    page = visit("/play/generator?tab=walk", context={"reduced_motion": "no-preference"}).page
    settled(page)
    page.get_by_role("button", name="Play").click()
    page.get_by_role("img", name="Step 11 of 16").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.wait_for_url("**step=*")
    step = re.search(r"step=(\d+)", page.url)[1]
    page.wait_for_timeout(400)
    assert page.get_by_role("img", name=f"Step {step} of 16").is_visible()


def test_a_point_of_the_plane_is_decoded_on_hover_by_click_and_by_arrow_keys(visit, site):
    page = visit("/play/codes?tab=plane").page
    settled(page)
    canvas = page.locator(".plane canvas")
    first = shown(page, "Decoded")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_function(
        "before => document.querySelector('.decoded .framed img').src !== before",
        arg=page.locator(".decoded .framed img").get_attribute("src"),
    )
    assert "point=" not in page.url
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.6 * box["height"])
    page.wait_for_url("**point=*")
    settled(page)
    plane = httpx.get(f"{site.url}/v1/plane", params={"model": "codes"}).json()
    point = int(re.search(r"point=(\d+)", page.url)[1])
    answer = httpx.post(f"{site.url}/v1/decode", params={"model": "codes"}, json={"codes": [plane["code"][point]]}).json()
    assert (shown(page, "Decoded") == decoded(answer["predictions"][0]["image"])).all()
    assert (shown(page, "Decoded") != first).any()
    assert canvas.get_attribute("aria-label").endswith(f"Chosen: a {plane['label'][point]}")
    page.locator(".plane").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(lambda url: f"point={point}" not in url)
    after = int(re.search(r"point=(\d+)", page.url)[1])
    assert plane["x"][after] < plane["x"][point]
    page.reload()
    settled(page)
    assert canvas.get_attribute("aria-label").endswith(f"Chosen: a {plane['label'][after]}")


def test_pictures_are_made_up_anew_by_seed_and_temperature(visit):
    page = visit("/play/generator").page
    settled(page)
    pictures = page.locator(".gallery img")
    assert pictures.count() == 16
    sources = "[...document.querySelectorAll('.gallery img')].map(one => one.src)"
    before = page.evaluate(sources)
    page.get_by_role("button", name="Another").click()
    page.get_by_role("img", name="16 pictures made up with seed 1 at temperature 1").wait_for()
    page.wait_for_function(f"before => ({sources})[0] !== before", arg=before[0])
    temperature = page.get_by_label("Temperature: 0 gives the mean picture, more gives more different ones, number")
    temperature.fill("0")
    temperature.press("Tab")
    page.wait_for_function(f"() => new Set({sources}).size === 1")
    assert "temperature=0" in page.url
    page.reload()
    settled(page)
    page.wait_for_function(f"() => new Set({sources}).size === 1")


def test_tabs_are_those_that_the_models_verbs_allow_and_go_by_arrow_keys(visit):
    page = visit("/play/generator").page
    settled(page)
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["Made up", "Made again", "Plane of codes", "Walk between two"]
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").inner_text() == "Made again"
    page.get_by_role("tabpanel", name="Made again").wait_for()
    assert "tab=again" in page.url
    one = visit("/play/denoiser")
    settled(one.page)
    assert one.page.get_by_role("tab").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["denoiser", "codes?tab=again", "codes?tab=plane", "codes?tab=walk", "generator"])
def test_nothing_is_amiss_for_axe_and_nothing_too_wide(visit, path, theme):
    one = visit(f"/play/{path}", theme=theme, width=320)
    settled(one.page)
    assert one.axe() == []
    assert one.too_wide() <= 0


def test_a_picture_that_is_none_is_refused_beside_the_field_and_an_empty_pad_asks_nothing(denoiser):
    page = denoiser.page
    before = shown(page, "Restored")
    page.locator("input[type=file]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.get_by_text("a.txt is no PNG or JPEG").wait_for()
    assert (shown(page, "Restored") == before).all()
    assert denoiser.axe() == []
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/denoise" in request.url else None)
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Draw something, or choose a sample.").first.wait_for()
    assert not asked


def test_the_start_page_shows_what_each_of_them_makes(visit):
    page = visit("/").page
    for name, least in (("codes", 2), ("denoiser", 2), ("digits", 1), ("generator", 3)):
        pictures = page.locator(".model", has=page.get_by_role("link", name=name, exact=True)).locator(".thumbnail .picture")
        pictures.nth(least - 1).wait_for()
