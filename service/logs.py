"""Log lines as JSON, one a line, with the request's id. Knows the standard `logging` only.

On a terminal the lines are for a person instead. A line is cut at 2 KB; what a client sent is never in it beyond its id,
method and path.
"""

import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

from service.settings import Settings, colours

MAX_LINE_BYTES = 2048
request_id: ContextVar[str] = ContextVar("request_id", default="")
access = logging.getLogger("modelyard.access")


class JsonLines(logging.Formatter):
    """time, level, logger, message, request_id, the `extra={"fields": …}` given, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        line = {"time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"), **line}
        data = orjson.dumps(line, default=str)
        if len(data) > MAX_LINE_BYTES:
            cut = {key: value[-1000:] if key == "traceback" else str(value)[:200] for key, value in line.items()}
            data = orjson.dumps(cut, default=str)
        return data.decode()


class ForPeople(logging.Formatter):
    """The same on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        rest = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("level", "logger", "message"))
        return f"{when} {line['level']:<7} {line['message']} {rest}".rstrip()


def _fields(record: logging.LogRecord) -> dict[str, str]:
    line = {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
    if known := request_id.get():
        line["request_id"] = known
    line.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[0]:
        line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
    return line


def configure(settings: Settings) -> None:
    """Send every logger to standard error in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(ForPeople() if colours() else JsonLines())
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.getLogger("uvicorn.access").disabled = True  # ours has the request id
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, logging.root.level))
    access.disabled = not settings.access_log
