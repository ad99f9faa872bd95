"""Log lines."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time

from service import logs
from service.logs import Writer
from tests.conftest import ROOT


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


@contextlib.contextmanager
def piped(monkeypatch):
    """Standard error is a pipe; its end to be read."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as file, monkeypatch.context() as here:
        here.setattr(sys, "stderr", file)
        yield read


def test_nobody_waits_for_a_reader_that_stalls_and_what_has_no_room_is_counted(monkeypatch):
    monkeypatch.setattr(Writer, "MOST_WAITING", 200_000)
    writer, line = Writer(), "x" * 99 + "\n"
    with piped(monkeypatch) as read:
        begun = time.monotonic()
        for _ in range(5000):
            writer.put(line)
        assert time.monotonic() - begun < 5
        lost = writer.dropped()
        assert 2000 <= lost < 5000
        assert writer.dropped() == 0
        data = b""
        while len(data) < (5000 - lost) * 100:
            data += os.read(read, 2**16)
    assert set(data.splitlines()) == {b"x" * 99}
    os.close(read)


def test_a_line_that_cannot_be_written_is_counted_and_the_next_one_is_tried(monkeypatch):
    writer = Writer()
    with piped(monkeypatch) as read:
        os.close(read)
        writer.put("lost\nlost\n")
        writer.flush(5)
    assert writer.dropped() == 2
    with piped(monkeypatch) as read:
        writer.put("here\n")
        writer.flush(5)
        assert os.read(read, 10) == b"here\n"
    os.close(read)


def test_lines_are_written_before_the_process_ends(tmp_path):
    code = (
        "import logging\nfrom service import logs, settings\nlogs.configure(settings.Settings())\nlogging.error('last words')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(ended.stderr)["message"] == "last words"
