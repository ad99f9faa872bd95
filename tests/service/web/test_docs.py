"""The API's page: every operation, found, read, tried."""

import json
import subprocess

import httpx
import pytest

from tests.conftest import ROOT


def opened(page, method, path):
    """The card of an operation, opened."""
    card = page.locator(f"#{method}{''.join(c if c.isalnum() else '-' for c in path).replace('--', '-').rstrip('-')}")
    button = card.get_by_role("button", name=path, exact=False).first
    if button.get_attribute("aria-expanded") == "false":
        button.click()
    return card


@pytest.fixture
def docs(visit):
    return visit("/docs")


def test_every_operation_of_the_document_is_there_and_found_by_its_words(docs, site):
    document = httpx.get(f"{site.url}/openapi.json").json()
    operations = [(method, path) for path, methods in document["paths"].items() for method in methods]
    docs.page.locator(".operation").first.wait_for()
    shown = [" ".join(one.split()) for one in docs.page.locator(".operation h3").all_inner_texts()]
    assert sorted(shown) == sorted(f"{method.upper()} {path}" for method, path in operations)
    docs.page.get_by_label("Filter").fill("post noise")
    docs.page.get_by_text(f"1 of {len(operations)} operations").wait_for()
    assert docs.page.locator(".operation h3").inner_text().split() == ["POST", "/v1/denoise"]
    assert "filter=post+noise" in docs.page.url
    docs.page.get_by_label("Filter").fill("nothing has this")
    docs.page.get_by_text("No operation has these words").wait_for()


def test_an_address_opens_its_operation_and_the_example_works_as_it_stands(visit, tmp_path):
    page = visit("/docs#post-v1-sentiment").page
    card = page.locator("#post-v1-sentiment")
    card.get_by_role("button", name="Send", exact=True).click()
    answer = card.get_by_role("region", name="Answer").inner_text()
    assert json.loads(answer)["predictions"][0]["label"] == "positive"
    assert card.get_by_text("200").first.is_visible()
    card.get_by_role("button", name="Copy").click()
    card.get_by_text("Copied.").wait_for()
    script = tmp_path / "asked.sh"
    script.write_text(page.evaluate("navigator.clipboard.readText()"))
    assert json.loads(subprocess.run(["bash", script], capture_output=True, check=True).stdout) == json.loads(answer)


def test_fields_are_told_with_what_they_may_be(docs):
    card = opened(docs.page, "post", "/v1/neighbors")
    listed = card.locator(".listed").first.inner_text()
    assert "word" in listed
    assert "whole number, 1 to 100, may be left out, else 10" in listed
    answers = card.locator(".listed").last.inner_text()
    assert "similarity" in card.locator(".listed").nth(1).inner_text()
    assert answers


def test_parameters_are_sent_and_what_is_wrong_is_said(visit):
    one = visit("/docs", expected=("404", "422"))
    card = opened(one.page, "get", "/v1/models/{name}")
    card.get_by_label("name").fill("words")
    card.get_by_role("button", name="Send", exact=True).click()
    card.get_by_role("region", name="Answer").get_by_text('"name": "words"').first.wait_for()
    card.get_by_label("name").fill("nothing")
    card.get_by_role("button", name="Send", exact=True).click()
    card.get_by_text("No model 'nothing'").or_(card.get_by_text("unknown_model")).first.wait_for()
    card.get_by_label("name").fill("")
    card.get_by_role("button", name="Send", exact=True).click()
    card.get_by_role("alert").get_by_text("Parameter name is empty").wait_for()
    card = opened(one.page, "post", "/v1/sentiment")
    card.get_by_label("Body").fill('{"texts": ["a"')
    card.get_by_role("button", name="Send", exact=True).click()
    card.get_by_role("alert").get_by_text("The body is no JSON").wait_for()
    assert card.get_by_label("Body").input_value() == '{"texts": ["a"'
    assert one.axe() == []


def test_a_picture_comes_back_as_a_picture_and_a_file_is_sent_as_it_is(docs):
    card = opened(docs.page, "post", "/v1/denoise")
    card.get_by_role("button", name="Send, and have a picture back").click()
    assert (
        card.get_by_role("img", name="The picture that the service answered with").evaluate(
            "one => one.decode().then(() => one.naturalWidth)"
        )
        == 28
    )
    card = opened(docs.page, "post", "/v1/classify")
    card.locator("input[type=file]").set_input_files(ROOT / "service" / "web" / "seven.png")
    card.get_by_text("seven.png, image/png").wait_for()
    with docs.page.expect_request("**/v1/classify*") as asked:
        card.get_by_role("button", name="Send", exact=True).click()
    assert asked.value.headers["content-type"] == "image/png"
    card.get_by_role("region", name="Answer").get_by_text('"label": "7"').first.wait_for()


def test_what_changes_what_is_served_wants_a_second_click(docs):
    asked = []
    docs.page.route("**/unload", lambda route: (asked.append(route.request.url), route.fulfill(json={}))[1])
    card = opened(docs.page, "post", "/v2/repository/models/{name}/unload")
    card.get_by_label("name").fill("words")
    card.get_by_role("button", name="Send", exact=True).click()
    sure = card.get_by_role("button", name="Really?")
    sure.wait_for()
    assert asked == []
    card.get_by_role("button", name="No", exact=True).click()
    card.get_by_role("button", name="Send", exact=True).click()
    sure.click()
    card.get_by_role("region", name="Answer").wait_for()
    assert len(asked) == 1
    assert asked[0].endswith("/v2/repository/models/words/unload")
