"""Log lines as JSON, one a line, with the request's id. Knows the standard `logging` only.

On a terminal the lines are for a person instead. A line is cut at 2 KB; what a client sent is never in it beyond its id,
method and path. The line of each request does not go through `logging`: that would be a third of a short request's cost.
Nobody waits for whoever reads the lines: a thread writes them, and those that find no room are dropped and counted.
"""

import atexit
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from service.settings import Settings, colours

MAX_LINE_BYTES = 2048
Fields = dict[str, Any]
MOST_KEPT = 1000
request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """time, level, logger, message, request_id, the `extra={"fields": …}` given, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        return as_json(record.created, _fields(record))


class ForPeople(logging.Formatter):
    """The same on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return for_people(record.created, _fields(record))


def as_json(when: float, fields: Fields) -> str:
    """A line of at most MAX_LINE_BYTES."""
    line = {"time": datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds"), **fields}
    data = orjson.dumps(line, default=str)
    if len(data) > MAX_LINE_BYTES:
        cut = {key: value[-1000:] if key == "traceback" else str(value)[:200] for key, value in line.items()}
        data = orjson.dumps(cut, default=str)
    return data.decode()


def for_people(when: float, fields: Fields) -> str:
    """A line with its time of day."""
    time_of_day = datetime.fromtimestamp(when).astimezone().strftime("%H:%M:%S")
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in ("level", "logger", "message"))
    return f"{time_of_day} {fields['level']:<7} {fields['message']} {rest}".rstrip()


def _fields(record: logging.LogRecord) -> Fields:
    line: Fields = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
    if known := request_id.get():
        line["request_id"] = known
    line.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[0]:
        line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return line


class Writer:
    """Writes to standard error from a thread of its own."""

    MOST_WAITING = 2**22
    """Characters that wait while nobody reads."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._waiting = self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, text: str) -> None:
        """Have whole lines written; never blocks, never raises."""
        with self._changed:
            if self._waiting + len(text) > self.MOST_WAITING:
                self._dropped += text.count("\n")
                return
            self._texts.append(text)
            self._waiting += len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, daemon=True, name="log")
                self._thread.start()
                atexit.register(self.flush)
            self._changed.notify_all()

    def flush(self, seconds: float = 1.0) -> None:
        """Wait until all is written, not for ever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def dropped(self) -> int:
        """Lines that were, since this was last asked."""
        with self._changed:
            count, self._dropped = self._dropped, 0
        return count

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._texts)
                text = self._texts.popleft()
            try:
                _to_stderr(text)
                lost = 0
            except (OSError, ValueError):  # a full disk, a reader that left, a file that was closed
                lost = text.count("\n")
            with self._changed:
                self._waiting -= len(text)
                self._dropped += lost
                self._changed.notify_all()


def _to_stderr(text: str) -> None:
    try:
        file = sys.stderr.fileno()
    except (OSError, ValueError):  # not a file at all
        sys.stderr.write(text)
        return
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(file, data) :]


writer = Writer()


class _Handler(logging.Handler):
    """Hands lines to the writer."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            writer.put(f"{self.format(record)}\n")
        except Exception:  # noqa: BLE001 - as every handler has it: a line that cannot be made must not harm who logs it
            self.handleError(record)


class AccessLog:
    """A line for each request, written with others of its moment: `write` is called some times a second."""

    def __init__(self) -> None:
        self.enabled = False
        self._line: Callable[[float, Fields], str] = as_json
        self._kept: list[tuple[float, Fields]] = []

    def configure(self, line: Callable[[float, Fields], str], *, enabled: bool) -> None:
        """The form of its lines, and whether there are any."""
        self.enabled, self._line = enabled, line

    def add(self, fields: Fields) -> None:
        """What a request's line says."""
        self._kept.append((time.time(), {"level": "info", "logger": "modelyard.access", "message": "request", **fields}))
        if len(self._kept) >= MOST_KEPT:
            self.write()

    def write(self) -> None:
        """Hand the lines that were kept to the writer."""
        if self._kept:
            writer.put("".join(f"{self._line(when, fields)}\n" for when, fields in self._kept))
            self._kept.clear()


access = AccessLog()


def configure(settings: Settings) -> None:
    """Send every logger to standard error in one form."""
    handler = _Handler()
    handler.setFormatter(ForPeople() if colours() else JsonLines())
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # ours has the request id
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))
    shows = settings.access_log and logging.root.level <= logging.INFO
    access.configure(for_people if colours() else as_json, enabled=shows)
