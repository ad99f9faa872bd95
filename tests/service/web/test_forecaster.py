"""The forecaster's page, used as people use it: sliders, keys, own tables, two versions."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.conftest import ROOT, servers, write_steps_version

PLAY = "/play/oil"
ROW = 'table.errors tr:has(th:text-is("{}")) td'


@pytest.fixture(scope="module")
def sample(site):
    """The first sample of the shipped model: its body."""
    return httpx.get(f"{site.url}/v1/models/oil/samples").json()["samples"][0]["body"]


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A service with a small model that needs both of its columns, and one in two versions."""
    models = tmp_path_factory.mktemp("models")
    write_steps_version(models, "joint", independent=False, frequency="", context=8, horizon=5)
    newest = max((ROOT / "models" / "oil").iterdir(), key=lambda path: int(path.name))
    for version in (1, 2):
        shutil.copytree(newest, models / "oil" / str(version))
        manifest = models / "oil" / str(version) / "manifest.json"
        manifest.write_text(
            json.dumps({**json.loads(manifest.read_text()), "version": version, "parent": None, "sha256": None})
        )
    with servers(tmp_path_factory.mktemp("log")) as begin:
        yield begin(models_dir=models)


def plot(page):
    return page.locator(".plot")


def drawn(page, words):
    """Wait for a plot whose label has these words."""
    page.wait_for_function("words => document.querySelector('.plot')?.getAttribute('aria-label').includes(words)", arg=words)
    return plot(page).get_attribute("aria-label")


def own(page, text):
    page.fill("#own", text)
    page.get_by_role("button", name="Forecast this").click()


def numbers(text):
    return [float(one.replace(",", "")) for one in re.findall(r"-?\d[\d,]*\.?\d*", text)]


def test_the_first_forecast_is_there_untouched_and_its_errors_are_those_of_the_window(visit, site, sample):
    page = visit(PLAY).page
    label = drawn(page, "on average")
    assert label.startswith("Forecast of OT for 96 steps from")
    assert page.locator(".plot canvas").count() == 1
    values = np.array(sample["series"]["OT"])
    history, truth = values[-600:-96], values[-96:]
    found = httpx.post(
        f"{site.url}/v1/forecast", params={"model": "oil"}, json={"series": {"OT": history.tolist()}}
    ).json()["predictions"][0]  # fmt: skip
    mae = np.abs(truth - found["mean"]["OT"]).mean()
    unrest = np.abs(history[24:] - history[:-24]).mean()
    inside = ((truth >= found["quantiles"]["0.1"]["OT"]) & (truth <= found["quantiles"]["0.9"]["OT"])).mean()
    cells = page.locator(ROW.format("this model")).all_inner_texts()
    assert numbers(cells[0])[0] == pytest.approx(mae, rel=0.01)
    assert numbers(cells[1])[0] == pytest.approx(mae / unrest, rel=0.01)
    assert numbers(cells[2])[0] == pytest.approx(100 * inside, abs=0.06)
    card = httpx.get(f"{site.url}/v1/models/oil").json()
    assert numbers(cells[4])[0] == pytest.approx(card["scores"]["mase"], rel=0.01)
    naive = page.locator(ROW.format("repeat the last season")).all_inner_texts()
    assert numbers(naive[0])[0] == pytest.approx(np.abs(truth - np.tile(history[-24:], 4)).mean(), rel=0.01)
    assert page.locator(".timing").inner_text().count("ms") == 2


def test_origin_column_and_horizon_are_chosen_by_keys_and_stand_in_the_address(visit, sample):
    one = visit(PLAY)
    page = one.page
    drawn(page, "on average")
    page.locator("#origin").focus()
    page.keyboard.press("Home")  # the least history that the model takes: the rest is filled
    page.wait_for_function("() => location.search.includes('origin=24')")
    page.get_by_text("480 before them were missing").wait_for()
    page.get_by_role("spinbutton", name="Horizon").fill("12")
    page.keyboard.press("Tab")
    page.select_option("#column", "HUFL")
    label = drawn(page, "HUFL for 12 steps from step 1")
    address = page.url
    assert {"origin=24", "horizon=12", "column=HUFL"} <= set(address.split("?")[1].split("&"))
    page.goto(address)
    assert drawn(page, "HUFL for 12 steps") == label
    page.get_by_role("button", name="window 3").click()
    drawn(page, "HUFL for 12 steps from")
    page.wait_for_function("() => !location.search.includes('origin=24')")
    page.locator("#origin").focus()
    page.keyboard.press("End")  # nothing follows: no truth, no errors
    drawn(page, "what followed is not known")
    assert page.locator(ROW.format("this model")).first.inner_text() == "–"


def test_the_crosshair_is_moved_by_arrow_keys_and_by_pointer(visit, sample):
    page = visit(PLAY).page
    drawn(page, "on average")
    reading = page.get_by_role("slider", name="Crosshair")
    reading.focus()
    page.keyboard.press("End")
    last = reading.get_attribute("aria-valuetext")
    assert f"observed {sample['series']['OT'][-1]:.4g}" in last
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("old => document.querySelector('.reading input').getAttribute('aria-valuetext') !== old", arg=last)
    assert f"observed {sample['series']['OT'][-2]:.4g}" in reading.get_attribute("aria-valuetext")
    assert page.locator(".reading dd").nth(1).inner_text() == f"{sample['series']['OT'][-2]:.4g}"
    box = page.locator(".plot .u-over").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 50)
    page.wait_for_function("() => Number(document.querySelector('.reading input').value) < 3")
    assert "forecast" not in reading.get_attribute("aria-valuetext")  # so far back there is history only


def test_the_later_of_two_quick_choices_wins(visit):
    page = visit(PLAY).page
    drawn(page, "on average")
    held = []

    def late(route):
        if "HULL" in route.request.post_data:
            held.append(route)  # its answer is never given while the next one is asked for
        else:
            route.continue_()

    page.route("**/v1/forecast**", late)
    page.select_option("#column", "HULL")
    page.wait_for_timeout(300)  # past the pause before a request
    page.select_option("#column", "LUFL")
    drawn(page, "Forecast of LUFL")
    for route in held:
        route.abort()
    assert "LUFL" in page.locator(".answer").inner_text()


def test_own_tables_are_read_as_people_write_them(visit):
    one = visit(PLAY)
    page = one.page
    drawn(page, "on average")
    monthly = "\n".join(f"{2010 + step // 12}-{step % 12 + 1:02};{100 + step % 12},5" for step in range(48))
    own(page, f"month;sold\n{monthly}\n")
    drawn(page, "Forecast of sold for 96 steps from 2014-01-01")
    sent = json.loads(page.locator("#request-text").inner_text().split("\n")[1])
    assert (sent["start"], sent["frequency"], sent["series"][:2]) == ("2010-01-01T00:00:00", "1mo", [100.5, 101.5])
    own(page, " ".join(str(step % 7) for step in range(40)))  # no names, no dates, one line
    drawn(page, "Forecast of value for 96 steps from step 1")
    page.set_input_files("input[type=file]", {"name": "two.csv", "mimeType": "text/csv", "buffer": TWO.encode()})
    drawn(page, "Forecast of b for")
    assert "Column 'a' is left out: 'abc' is not a number in row 17" in page.locator("#own-said").inner_text()
    page.select_option("#column", "a")
    page.locator("#column-problem").get_by_text("'abc' is not a number in row 17").wait_for()
    assert page.locator("#column").get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Back to the sample").click()
    drawn(page, "Forecast of OT")


TWO = "a,b\n" + "\n".join("abc,1" if row == 17 else f"{row},{row % 5}" for row in range(2, 60))


def test_what_cannot_be_forecast_is_said_beside_the_field_and_nothing_is_lost(visit):
    one = visit(PLAY, theme="dark")
    page = one.page
    before = drawn(page, "on average")
    for text, words in (
        ("", "nothing here yet"), ("1\n2\n3", "has 3 steps; this model takes at least 24"),
        ("date,x\n2018-01-01,5\n2018-01-02,abc", "'abc' is not a number in row 3, column 'x'"), ("a,b\n", "no numbers under them"),
    ):  # fmt: skip
        own(page, text)
        page.locator("#own-problem").get_by_text(words).wait_for()
        assert page.locator("#own").get_attribute("aria-invalid") == "true"
        assert page.locator("#own").input_value() == text
    assert plot(page).get_attribute("aria-label") == before
    assert one.axe() == []
    page.get_by_role("button", name="Fill in an example").click()
    page.get_by_role("button", name="Forecast this").click()
    drawn(page, "what followed is not known")
    page.locator("#own-problem").first.wait_for(state="hidden")


def test_numbers_are_shown_and_downloaded(visit):
    page = visit(PLAY).page
    drawn(page, "on average")
    with page.expect_download() as found:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(Path(found.value.path()).read_text().splitlines()))
    assert len(rows) == 96
    assert {"step", "what followed", "forecast", "0.1", "0.9", "repeat the last season"} <= set(rows[0])
    page.get_by_text("Show the numbers").click()
    shown = page.locator(".numbers tbody tr").last.locator("td").all_inner_texts()
    assert float(shown[1]) == pytest.approx(float(rows[-1]["forecast"]), rel=1e-3)


def test_the_copied_curl_gives_what_is_on_the_screen(visit, tmp_path):
    page = visit(PLAY).page
    drawn(page, "on average")
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("Copied.").wait_for()
    script = tmp_path / "ask.sh"
    script.write_text(page.evaluate("navigator.clipboard.readText()"))
    answer = json.loads(subprocess.run(["bash", script], capture_output=True, check=True).stdout)
    end = answer["predictions"][0]["mean"]["OT"][-1]
    assert numbers(page.locator(".answer strong").first.inner_text())[-1] == pytest.approx(end, rel=1e-3)


def test_two_versions_are_drawn_in_one_plot(visit, others):
    page = visit(f"{PLAY}?version=1&against=2", url=others.url).page
    page.locator(ROW.format("version 2")).first.wait_for()
    assert page.locator(".plot").count() == 1
    first, second = (page.locator(ROW.format(f"version {one}")).all_inner_texts() for one in (1, 2))
    assert first == second  # they are the same network
    assert "forecast, version 2" in page.locator(".legend").inner_text()
    assert page.locator(".answer").count() == 2


def test_a_model_of_joint_columns_gets_all_of_them_and_steps_where_it_has_no_times(visit, others):
    page = visit("/play/joint", url=others.url).page
    drawn(page, "Forecast of b for 5 steps from step 1")
    sent = json.loads(page.locator("#request-text").inner_text().split("\n")[1])
    assert set(sent["series"]) == {"a", "b"}
    own(page, "a\n" + "\n".join("1234"))
    page.locator("#own-problem").get_by_text("needs all of them: a, b. Here are a.").wait_for()
    own(page, "\n".join(f"{step},{step * 10}" for step in range(6)))  # as many columns without names: taken in order
    drawn(page, "Forecast of column 1")
    assert numbers(page.locator(".answer strong").first.inner_text())[-1] == 5  # it repeats the last value
    page.select_option("#column", "column 2")
    drawn(page, "Forecast of column 2")
    assert numbers(page.locator(".answer strong").first.inner_text())[-1] == 50


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_narrow_window(visit, theme):
    one = visit(PLAY, theme=theme, width=320)
    drawn(one.page, "on average")
    one.page.get_by_text("Show the numbers").click()
    assert one.axe() == []
    assert one.too_wide() <= 0
    assert one.page.locator(".plot canvas").bounding_box()["width"] <= 320


def test_every_control_is_reached_by_tab(visit):
    page = visit(PLAY).page
    drawn(page, "on average")
    controls = "[...document.querySelectorAll('main :is(a, button, select, input, textarea, summary, [tabindex=\"0\"])')]"
    wanted = page.evaluate(f"{controls}.filter(one => one.checkVisibility()).length")
    page.locator("main").focus()
    reached = set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('main *')].indexOf(document.activeElement)"))
    assert len(reached - {-1}) == wanted


LIGHTNESS = """() => {
  const canvas = document.querySelector('.plot canvas'), copy = document.createElement('canvas');
  [copy.width, copy.height] = [40, canvas.height];  // the words of the ticks on the left
  const context = copy.getContext('2d', {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, 40, copy.height).data;
  return [...data].filter((_, place) => place % 4 === 0 && data[place + 3] > 200).reduce((sum, one, _, all) => sum + one / all.length, 0);
}"""


def test_colours_of_the_plot_follow_the_theme(visit):
    page = visit(PLAY).page
    drawn(page, "on average")
    page.wait_for_function(f"() => document.querySelector('.plot canvas') && ({LIGHTNESS})() < 110")
    page.get_by_label("Colours").select_option("dark")
    page.wait_for_function(f"() => ({LIGHTNESS})() > 150")
