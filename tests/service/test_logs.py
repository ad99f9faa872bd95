"""Log lines."""

import json
import logging

from service import logs


def line(message: str = "hello", **extra) -> dict:
    record = logging.LogRecord("modelyard.x", logging.INFO, "", 0, message, (), None)
    record.__dict__.update(extra)
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_is_json_with_time_level_and_message():
    found = line()
    assert (found["level"], found["logger"], found["message"]) == ("info", "modelyard.x", "hello")
    assert found["time"].endswith("+00:00")


def test_a_line_has_the_requests_id():
    token = logs.request_id.set("abc")
    try:
        assert line()["request_id"] == "abc"
    finally:
        logs.request_id.reset(token)
    assert "request_id" not in line()


def test_fields_stand_beside_the_message():
    assert line(fields={"model": "digits"})["model"] == "digits"


def test_a_newline_in_a_message_cannot_forge_a_line():
    assert line("a\n{}")["message"] == "a\n{}"


def test_a_line_is_bounded():
    long = line("x" * 10_000, fields={"path": "y" * 10_000})
    assert len(json.dumps(long)) < logs.MAX_LINE_BYTES


def test_an_exception_is_in_the_log_with_its_traceback():
    try:
        raise ValueError("why")  # noqa: TRY301 - the traceback is what is tested
    except ValueError as error:
        found = line(exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: why" in found["traceback"]


def test_on_a_terminal_a_line_is_for_people():
    record = logging.LogRecord("x", logging.WARNING, "", 0, "careful", (), None)
    record.fields = {"model": "digits"}
    assert "warning" in logs.ForPeople().format(record)
    assert logs.ForPeople().format(record).endswith("careful model=digits")
