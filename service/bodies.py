"""Request bodies to raw inputs: a JSON document, a form with files, a picture or a text as it is. Knows pydantic and media.

Knows no family and no model: a `Reader` says which media types a verb takes, reads them, and tells how much work the inputs
are, so that the caller can leave the event loop when it is long.
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import numpy as np
import orjson
import python_multipart
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import FormParserError

from service import images
from service.errors import BadRequest, InvalidInput, TooLarge, UnsupportedMedia, shown
from service.media import FORM, JSON, OCTETS, PICTURES, TEXT, UNTOLD, media_type
from service.series import LARGEST, Asked, Frequency
from service.settings import Settings

Parsed = TypeVar("Parsed", bound=BaseModel)
Strings = Annotated[list[str], Field(fail_fast=True)]
"""Of which pydantic tells the first that is none: of a body's worth of them it would make gigabytes of errors."""

TEXT_TOUCHES = 4
"""How often a character is touched while a text is tokenised, in units of what a pixel's touch costs."""
NUMBER_TOUCHES = 16
"""The same of a number while a window is cut."""
LONGEST_WORD = 200
"""Characters."""
WORD_TOUCHES = 32 * 1024
"""Of a word, which may be unknown, so that its near spellings are looked for: some milliseconds."""
TOUCHES = 64
"""How often a pixel is touched while a picture is prepared, about: only a picture of a digit's own size is short work."""
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True)
class Body:
    """What a client sent: the bytes, and their media type in lower case with its parameters apart."""

    data: bytes
    media: str
    header: bytes

    @classmethod
    def of(cls, data: bytes, content_type: bytes) -> "Body":
        """From the bytes and the Content-Type header."""
        return cls(data, media_type(content_type), content_type)


@dataclass(frozen=True)
class Reader:
    """How a verb reads its body: media types, `read(body, Request, settings) -> inputs`, and the work that one input is."""

    media: tuple[str, ...]
    read: Callable[[Body, type[BaseModel], Settings], list[Any]]
    work: Callable[[Any, Settings], int]
    """In bytes to touch."""


def parse_json(data: bytes, max_depth: int, most: int = 250_000) -> Any:
    """The document in `data`. Raises BadRequest where it is no JSON, or nested deeper than `max_depth`.

    Raises TooLarge where it holds more than `most` lists and objects: a body of nothing else would be hundreds of megabytes.
    """
    if not data:
        raise BadRequest("The body is empty; expected a JSON document.")
    opens = data.count(b"[") + data.count(b"{")
    bare = data if opens <= max_depth else _outside_strings(data)
    if bare.count(b"[") + bare.count(b"{") > most:
        raise TooLarge(f"The JSON document holds more than {most} lists and objects.")
    try:
        document = orjson.loads(data)  # strict UTF-8: lone surrogates, NaN and Infinity are refused here
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    if opens > max_depth and _depth(bare) > max_depth:
        raise BadRequest(f"The JSON document is nested deeper than {max_depth} levels.")
    return document


def _outside_strings(data: bytes) -> bytes:
    """What is left of JSON without its strings; each step is one pass over whatever `data` is."""
    codes = np.frombuffer(data.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    return codes[~np.logical_xor.accumulate(codes == ord('"'))].tobytes()


def _depth(data: bytes) -> int:
    """How deep brackets nest in `data`, strings not told apart."""
    closes = np.frombuffer(data.translate(None, NO_BRACKETS), np.uint8) & 4 > 0  # the bit that tells ] from [ and } from {
    return int(np.where(closes, np.int32(-1), np.int32(1)).cumsum(dtype=np.int32).max(initial=0))


def validated(kind: type[Parsed], value: object) -> Parsed:
    """`value` as `kind`. Raises InvalidInput with one sentence about the first field that is wrong."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """The first fault of a pydantic error: the field, the value and what was expected."""
    first = error.errors(include_url=False)[0]
    place = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in first["loc"]))
    where = f"Field {shown(place)}" if place else "The document"
    if first["type"] == "missing":
        return f"{where} is missing."
    return f"{where} is {shown(first['input'])}: {first['msg'][:1].lower()}{first['msg'][1:]}."


def document(body: Body, kind: type[Parsed], settings: Settings) -> Parsed:
    """The body as the JSON document `kind`."""
    found = parse_json(body.data, settings.max_json_depth, 2 * settings.max_points)  # a series has most: rows of one number
    if isinstance(found, dict) and len(found) > 64:  # pydantic would make an error of each that it does not know
        raise InvalidInput(f"The document has {len(found)} fields; expected those of the endpoint.")
    return validated(kind, found)


class Pictures(BaseModel):
    """Pictures of PNG or JPEG, in base64."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[Strings, Field(description="each a PNG or JPEG in base64, or a data: URL")]


def _pictures(body: Body, kind: type[BaseModel], settings: Settings) -> list[bytes]:
    """Pictures as they are, in a form's files, or in base64 in the JSON field `images`."""
    if not body.data:
        raise BadRequest("The body is empty; expected a picture, a form with files, or a JSON document.")
    if body.media == FORM:
        return _files(body, settings)
    if body.media == JSON:
        encoded: list[str] = document(body, kind, settings).images  # type: ignore[attr-defined]  # every such Request has it
        return [unbase64(text, f"images[{index}]") for index, text in enumerate(few(encoded, "images", settings))]
    if body.media in (*PICTURES, OCTETS, *UNTOLD):
        return [body.data]
    raise UnsupportedMedia(f"Content-Type is {shown(body.media)}; expected {', '.join((*PICTURES, FORM))} or {JSON}.")


def few(inputs: list[Any], field: str, settings: Settings) -> list[Any]:
    """`inputs`, unless there are too many or none."""
    if len(inputs) > settings.max_items:
        raise TooLarge(f"Field '{field}' has {len(inputs)} entries; expected at most {settings.max_items}.")
    if not inputs:
        raise InvalidInput(f"Field '{field}' is empty; expected at least one entry.")
    return inputs


def unbase64(text: str, field: str) -> bytes:
    """The bytes in `text`, base64 or a data: URL."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidInput(f"Field '{field}' is {shown(text)}; expected base64.") from None


def _files(body: Body, settings: Settings) -> list[bytes]:
    """The `file` parts of a form, in order."""
    files, fields = list[bytes](), list[bytes]()

    def on_file(part: python_multipart.multipart.File) -> None:
        part.file_object.seek(0)
        files.append(part.file_object.read())
        part.close()
        few(files, "file", settings)

    def on_field(part: python_multipart.multipart.Field) -> None:
        fields.append(part.field_name or b"")
        if len(fields) > settings.max_form_fields:
            raise BadRequest(f"The form has more than {settings.max_form_fields} fields beside its files.")

    config = {"MAX_MEMORY_FILE_SIZE": settings.max_body_bytes + 1}  # the body is in memory already: nothing goes to disk
    try:
        parser = python_multipart.create_form_parser({"Content-Type": body.header}, on_field, on_file, config=config)
        parser.write(body.data)
        parser.finalize()
    except (FormParserError, ValueError):
        raise BadRequest("The form cannot be read; expected multipart/form-data with its boundary.") from None
    if not files:
        raise InvalidInput("Field 'file' is missing; expected a form with one or several files of that name.")
    return files


def _work(picture: bytes, settings: Settings) -> int:
    width, height = images.size(picture, images.PictureLimits(settings.max_pixels, settings.max_side))
    return width * height * TOUCHES


def _texts(body: Body, kind: type[BaseModel], settings: Settings) -> list[str]:
    """Texts in the JSON field `texts`, or the body as one text."""
    if body.media == TEXT:
        texts = [_plain(body.data)]
    elif body.media in (JSON, *UNTOLD):
        texts = few(document(body, kind, settings).texts, "texts", settings)  # type: ignore[attr-defined]  # every such Request has it
    else:
        raise UnsupportedMedia(f"Content-Type is {shown(body.media)}; expected {JSON} or {TEXT}.")
    for index, text in enumerate(texts):
        if len(text) > settings.max_chars:
            raise TooLarge(f"Field 'texts[{index}]' has {len(text)} characters; expected at most {settings.max_chars}.")
        if not text.strip():
            raise InvalidInput(f"Field 'texts[{index}]' is {shown(text)}; expected a text that is not blank.")
        if "\0" in text:
            raise InvalidInput(f"Field 'texts[{index}]' holds the character NUL; expected a text without it.")
    return texts


def _plain(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None


def _series(body: Body, kind: type[BaseModel], settings: Settings) -> list[Asked]:
    """One series in the JSON field `series`, and what else is asked of it."""
    asked = _json(body, kind, settings)
    sent = asked.series
    if not isinstance(sent, list | dict) or not sent:
        raise InvalidInput(f"Field 'series' is {shown(sent)}; expected numbers, rows of numbers, or columns by name.")
    names = tuple(sent) if isinstance(sent, dict) else None
    flat = isinstance(sent, list) and not isinstance(sent[0], list)
    if not flat and len(sent) > settings.max_points:
        raise TooLarge(f"Field 'series' has {len(sent)} rows or columns; expected at most {settings.max_points} numbers.")
    if isinstance(sent, dict):
        values = _even([(f"series.{name}", column) for name, column in sent.items()], settings.max_points).T
    elif flat:
        values = numbers(sent, "series", settings.max_points)[:, np.newaxis]
    else:
        values = _even([(f"series[{index}]", row) for index, row in enumerate(sent)], settings.max_points)
    return [Asked(values, names, flat, asked.horizon, _time(asked.start), _frequency(asked.frequency))]


def _even(parts: list[tuple[str, Any]], most: int) -> NDArray[np.float64]:
    """Lists of numbers (name, list), all of one length."""
    first, length = parts[0][0], len(parts[0][1]) if isinstance(parts[0][1], list) else 0
    for name, part in parts:
        if not isinstance(part, list):
            raise InvalidInput(f"Field {shown(name)} is {shown(part)}; expected a list of numbers.")
        if len(part) != length:
            raise InvalidInput(f"Field {shown(name)} has {len(part)} numbers; expected {length}, as in {shown(first)}.")
    if length * len(parts) > most:
        raise TooLarge(f"Field 'series' has {length * len(parts)} numbers; expected at most {most}.")
    return np.array([numbers(part, name, most) for name, part in parts])


def numbers(values: list[Any], field: str, most: int, largest: float = LARGEST) -> NDArray[np.float64]:
    """Finite numbers, none of them beyond `largest` either way."""
    if len(values) > most:
        raise TooLarge(f"Field {shown(field)} has {len(values)} numbers; expected at most {most}.")
    if not values:
        raise InvalidInput(f"Field {shown(field)} is empty; expected numbers.")
    if set(map(type, values)) - {int, float}:
        index = next(index for index, value in enumerate(values) if type(value) not in (int, float))
        raise InvalidInput(f"Field {shown(f'{field}[{index}]')} is {shown(values[index])}; expected a number.")
    found = np.array(values, np.float64)  # JSON's parser let no NaN and no infinity in
    beyond = np.flatnonzero(np.abs(found) > largest)
    if len(beyond):
        value = shown(f"{found[beyond[0]]:g}")
        raise InvalidInput(
            f"Field {shown(f'{field}[{beyond[0]}]')} is {value}; expected a number of at most {largest:g} either way."
        )
    return found


def _time(written: str | None) -> datetime | None:
    try:
        return None if written is None else datetime.fromisoformat(written)
    except ValueError:
        raise InvalidInput(f"Field 'start' is {shown(written)}; expected a time such as 2018-06-01T00:00:00.") from None


def _frequency(written: str | None) -> Frequency | None:
    try:
        return None if written is None else Frequency.parse(written)
    except ValueError as error:
        raise InvalidInput(f"Field 'frequency' is {shown(written)}: {error}.") from None


class Document(BaseModel):
    """A document that is more than a list of inputs."""

    def work(self) -> int:
        """In bytes to touch."""
        return 0


def _document(body: Body, kind: type[BaseModel], settings: Settings) -> list[Any]:
    """The document itself, as it is."""
    return [_json(body, kind, settings)]


def _json(body: Body, kind: type[BaseModel], settings: Settings) -> Any:
    """The body as the document `kind`, where JSON is all that is taken."""
    if body.media not in (JSON, *UNTOLD):
        raise UnsupportedMedia(f"Content-Type is {shown(body.media)}; expected {JSON}.")
    return document(body, kind, settings)


class Words(Document):
    """A document of words. Every string in it is taken for one."""

    def inputs(self) -> Sequence[Any]:
        """What is asked, one by one: the document itself, where it asks one thing."""
        return [self]


def _words(body: Body, kind: type[BaseModel], settings: Settings) -> list[Any]:
    """Words in whatever fields the document has for them."""
    asked = _json(body, kind, settings)
    for field, value in asked:
        _sound(field, value, settings)
    return list(asked.inputs())


def _count(asked: object) -> int:
    """Words in a word, a list of them, or a document."""
    if isinstance(asked, Words):
        return sum(_count(value) for _, value in asked)
    return len(asked) if isinstance(asked, list) else int(isinstance(asked, str))


def _sound(field: str, value: object, settings: Settings) -> None:
    """Raises where a word, or one of a list, is none that a vocabulary could have."""
    if isinstance(value, list):
        if len(value) > settings.max_words:
            raise TooLarge(f"Field '{field}' has {len(value)} entries; expected at most {settings.max_words}.")
        for index, one in enumerate(value):
            _sound(f"{field}[{index}]", one, settings)
    if isinstance(value, str) and len(value) > LONGEST_WORD:
        raise TooLarge(f"Field '{field}' has {len(value)} characters; expected at most {LONGEST_WORD}.")
    if isinstance(value, str) and not value.strip():
        raise InvalidInput(f"Field '{field}' is {shown(value)}; expected a word.")


DOCUMENT = Reader((JSON,), _document, lambda asked, _: asked.work())
WORDS = Reader((JSON,), _words, lambda asked, _: _count(asked) * WORD_TOUCHES)
SERIES = Reader((JSON,), _series, lambda asked, _: asked.values.size * NUMBER_TOUCHES)
TEXTS = Reader((JSON, TEXT), _texts, lambda text, _: len(text) * TEXT_TOUCHES)
PICTURE = Reader((*PICTURES, FORM, JSON), _pictures, _work)
