"""Around every request."""

import logging

import orjson
import pytest

from service import edge, logs, metrics
from service.edge import Passage
from service.errors import Overloaded, TooLarge


def test_an_id_is_the_clients_where_it_is_one_and_else_a_new_one():
    assert edge.request_id(b"mine-1.a_B") == "mine-1.a_B"
    made = [edge.request_id(sent) for sent in (None, b"", b"a b", b"x" * 65, "\u00e4".encode(), b"a\r\nb")]
    assert len(set(made)) == len(made)
    assert all(len(one) == 20 and one.isalnum() for one in made)


def test_an_error_is_told_in_one_form():
    passage = Passage("GET", "/x", b"mine")
    with passage.named():
        found = edge.refused(Overloaded("Too many."))
    passage.left("/x", found.status)
    assert (found.status, found.headers, found.media) == (503, {"Retry-After": "1"}, "application/json")
    assert orjson.loads(found.body) == {"error": "Too many.", "code": "overloaded", "request_id": "mine"}
    assert logs.request_id.get() == ""


def test_a_body_that_is_not_waited_for_ends_the_connection():
    assert edge.refused(TooLarge("Too large.")).headers == {"Connection": "close"}


def test_what_nobody_expected_is_logged_and_not_told(caplog):
    with caplog.at_level(logging.ERROR, "modelyard.edge"):
        found = edge.refused(KeyError("a secret"))
    assert (found.status, b"secret" in found.body) == (500, False)
    assert "a secret" in str(caplog.records[0].exc_info)


@pytest.mark.parametrize(("route", "method"), [(None, "any"), ("/v1/x", "VERB")])
def test_a_method_is_a_label_only_where_there_is_a_route(route, method):
    Passage("VERB", "/v1/x", None).left(route, 404)
    line = f'modelyard_requests_total{{method="{method}",route="{route or "unmatched"}",status="404"}}'
    assert line in metrics.expose().decode()
