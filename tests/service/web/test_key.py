"""The pages of a service that asks for a key."""

import re

import pytest

from tests.conftest import ROOT, servers
from tests.drills.access import keys


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    said = keys(folder / "keys.json", "add", "me", "--role", "admin")
    with servers(folder) as begin:
        yield begin(models_dir=ROOT / "models", keys=folder / "keys.json").url, said


@pytest.mark.parametrize("path", ["/", "/play/reviews", "/status", "/docs"])
def test_a_page_asks_for_the_key_keeps_it_in_its_tab_and_works(visit, guarded, path):
    url, said = guarded
    one = visit(path, url=url, expected=("401",))
    if path == "/docs":  # its document is for everybody; what is tried there is not
        one.page.get_by_role("button", name="Send", exact=True).first.click()
    field = one.page.get_by_label("This service asks for an API key")
    field.wait_for()
    assert one.axe() == []
    field.fill(said)
    one.page.get_by_role("button", name="Use it").click()
    one.page.get_by_text("Asking with an API key.").wait_for()
    if path == "/docs":
        one.page.get_by_role("button", name="Send", exact=True).first.click()
        one.page.locator(".answered strong", has_text=re.compile("^200$")).wait_for()
    else:
        one.page.locator(
            {"/": ".thumbnail > :first-child", "/status": ".wide-table"}.get(path, ".answer :not(.timing, .note)")
        ).first.wait_for()
    assert said not in one.page.url
    assert one.page.evaluate("JSON.stringify(localStorage)").find("mk_") == -1
    assert one.axe() == []


def test_a_key_that_is_not_taken_is_asked_for_again_and_can_be_forgotten(visit, guarded):
    url, said = guarded
    one = visit("/", url=url, expected=("401",))
    one.page.get_by_label("This service asks for an API key").fill("mk_me_wrong")
    one.page.get_by_role("button", name="Use it").click()
    one.page.get_by_label("This API key is not taken. Another one").fill(said)
    one.page.get_by_role("button", name="Use it").click()
    one.page.get_by_role("button", name="Forget it").click()
    one.page.get_by_label("This service asks for an API key").wait_for()


def test_the_request_is_shown_with_the_place_of_the_key_and_not_the_key(visit, guarded):
    url, said = guarded
    one = visit("/play/reviews", url=url, expected=("401",))
    one.page.get_by_label("This service asks for an API key").fill(said)
    one.page.get_by_role("button", name="Use it").click()
    panel = one.page.get_by_role("region", name="The request")
    panel.get_by_text("Authorization: Bearer $MODELYARD_KEY").wait_for()
    assert said not in one.page.content()
