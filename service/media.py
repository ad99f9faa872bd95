"""Media types by name: what a body is, and what an answer should be. Knows the headers' form only."""

import re
from functools import lru_cache

JSON, FORM = "application/json", "multipart/form-data"
PNG, OCTETS = "image/png", "application/octet-stream"
PICTURES = (PNG, "image/jpeg")
TEXT = "text/plain"
UNTOLD = ("application/x-www-form-urlencoded", "")
"""What curl says of a body when it is told nothing."""


@lru_cache(maxsize=64)
def media_type(content_type: bytes) -> str:
    """In lower case, without its parameters."""
    return content_type.split(b";", 1)[0].strip().lower().decode("latin-1")


def wants(media: str, accept: str) -> bool:
    """Whether an Accept header names `media`, and not JSON, which is what whoever names neither gets."""
    named = set()
    for part in accept.lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters):
            named.add(name)
    return media in named and JSON not in named
