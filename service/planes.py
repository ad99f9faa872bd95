"""Points on a plane that training laid out, such as words or codes: a file of a version, read once and told as it is.

Knows nothing of what the points stand for, of networks, and of HTTP.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from service.errors import NotFound
from service.family import Lookup, Options

MAP, PLANE = "map.json", "plane.json"
"""Of words, and of codes."""


class Points(BaseModel):
    """Where each point stands, -1 to 1, and how they were laid out."""

    method: str
    x: list[float]
    y: list[float]


class Words(Points):
    """The commonest words, and where each stands: like ones near each other."""

    words: list[str]


class Codes(Points):
    """Codes of test pictures, where each stands, and what each picture shows: like ones near each other."""

    label: list[str]
    code: list[list[float]]


def read(files: Mapping[str, bytes], file: str, form: type[Points], labels: Sequence[str] = ()) -> dict[str, Any] | None:
    """The points of `file`, None where the version has none. `labels`: names of the labels, which stand in it as numbers.

    Raises ValueError where the file is not of that form, or not of one length.
    """
    if file not in files:
        return None
    found: dict[str, Any] = orjson.loads(files[file])
    try:
        if "label" in found:
            found["label"] = [labels[number] if labels else str(number) for number in found["label"]]
        form.model_validate(found)
        lengths = {len(values) for key, values in found.items() if key != "method"}
    except (KeyError, IndexError, TypeError, ValidationError) as error:
        raise ValueError(f"{file} is not of this family's form: {' '.join(str(error).split())[:200]}") from error
    if len(lengths) != 1:
        raise ValueError(f"{file} has columns of {sorted(lengths)} values")
    return found


def lookup(name: str, summary: str, form: type[Points]) -> Lookup:
    """`GET /v1/<name>`: the `plane` of a version's assets. Raises NotFound where it has none."""

    def answer(assets: Any, _: Options) -> dict[str, Any]:
        if assets.plane is None:
            raise NotFound(f"This version has no {name}: it was published without one.")
        found: dict[str, Any] = assets.plane
        return found

    return Lookup(name=name, summary=summary, Options=Options, Answer=form, answer=answer)
