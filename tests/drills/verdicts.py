"""Whether an answer is one that the service may give to whatever it was sent. Knows the one error form; knows no endpoint.

Every pattern here is linear in what it reads: answers and requests have megabytes (trap 20 of limits that hang whoever checks
them).
"""

import json
import re
from urllib.parse import unquote_to_bytes

from tests.drills.rawhttp import Answer

MOST_ERROR_BYTES = 1024
MOST_ECHOED = 64
"""Letters and digits of the request that may stand together in an error: a value is shown with at most 60 characters."""
LATEST_S = 5.0
LEAKS = re.compile(
    rb'Traceback|File "|site-packages|\.py\b|line \d{1,6}, in |root:x:0|0x[0-9a-f]{8}|'
    rb"/(?:usr|home|root|tmp|opt|var|proc|app|venv|mnt|lib)/|"
    rb"(?:starlette|uvicorn|pydantic|fastapi|numpy|onnxruntime|simdjson|orjson|rapidfuzz|httptools|service)\.[a-z_]+|"
    rb"\b(?:Value|Type|Key|Index|Attribute|Runtime|OS|Unicode\w{6}|Assertion|Overflow|Memory|Recursion)Error\b"
)
NO_WORDS = bytes(code for code in range(256) if not chr(code).isascii() or not chr(code).isalnum())


def faults(answer: Answer, sent: bytes) -> list[str]:
    """What is wrong with it, each in a few words; the word before the colon is the kind of fault."""
    found = []
    if answer.status >= 500 and answer.status != 501 and not is_load(answer):
        found.append(f"5xx: {answer.status} {answer.body[:200]!r}")
    if answer.seconds > LATEST_S:
        found.append(f"late: {answer.seconds:.1f} s")
    if "x-request-id" not in answer.headers and answer.status < 400:
        found.append("envelope: no X-Request-Id")
    if answer.status >= 400:
        found += _error(answer, sent)
    elif answer.headers.get("content-type") == "application/json":
        found += _document(answer.body)
    return found


def is_load(answer: Answer) -> bool:
    """A refusal that says when to ask again."""
    return answer.status == 503 and "retry-after" in answer.headers


def _error(answer: Answer, sent: bytes) -> list[str]:
    found = []
    if len(answer.body) > MOST_ERROR_BYTES:
        found.append(f"size: an error of {len(answer.body)} bytes")
    right = enveloped(answer)
    if answer.body and not right:
        found.append(f"envelope: {answer.headers.get('content-type')} {answer.body[:200]!r}")
    told = b"\n".join([answer.body, *(f"{name}: {value}".encode("latin-1") for name, value in answer.headers.items())])
    if leak := LEAKS.search(told):
        found.append(f"leak: {told[max(0, leak.start() - 60) : leak.end() + 60]!r}")
    said = json.loads(answer.body)["error"].encode() if right else answer.body  # the client's own request id may be longer
    if echoes(said, sent):
        found.append(f"echo: {answer.body[:200]!r}")
    return found


def enveloped(answer: Answer) -> bool:
    """Whether an error has the one form."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return False
    right = isinstance(body, dict) and set(body) == {"error", "code", "request_id"}
    return (
        answer.headers.get("content-type") == "application/json"
        and right
        and all(isinstance(one, str) for one in body.values())
    )


def echoes(said: bytes, sent: bytes) -> bool:
    """Whether more than MOST_ECHOED letters and digits in a row of `said` stand so in `sent`."""
    words = said.translate(None, NO_WORDS)
    if len(words) <= MOST_ECHOED:
        return False
    step = MOST_ECHOED // 2
    for source in (sent.translate(None, NO_WORDS), unquote_to_bytes(sent[:20_000]).translate(None, NO_WORDS)):
        for start in range(0, len(words) - step + 1, step):  # a longer run has one of these pieces whole
            if words[start : start + step] in source:
                low, high = max(0, start - MOST_ECHOED), min(len(words), start + 2 * MOST_ECHOED)
                pieces = (words[at : at + MOST_ECHOED + 1] for at in range(low, high - MOST_ECHOED))
                if any(piece in source for piece in pieces):
                    return True
    return False


def _document(body: bytes) -> list[str]:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(body, parse_constant=refuse)
    except ValueError as error:
        return [f"envelope: an answer that is no JSON ({str(error)[:60]})"]
    return []
