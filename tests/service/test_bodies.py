"""Bodies to raw inputs."""

import base64
import contextlib
import time

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from service import bodies
from service.bodies import PICTURE, Body, parse_json
from service.bodies import Pictures as Request
from service.errors import BadRequest, InvalidInput, ServiceError, TooLarge, UnsupportedMedia
from service.family import rooms
from service.samples import SEVEN, SEVEN_PNG
from service.settings import Settings

SETTINGS = Settings(max_items=3)


def form(*parts: tuple[str, bytes], end: str = "--X--\r\n") -> Body:
    text = b"".join(
        f'--X\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts
    )
    return Body.of(text + end.encode(), b"multipart/form-data; boundary=X")


def document(value: object) -> Body:
    return Body.of(orjson.dumps(value), b"application/json; charset=utf-8")


def read(body: Body) -> list[bytes]:
    return PICTURE.read(body, Request, SETTINGS)


@pytest.mark.parametrize(
    "body",
    [
        Body.of(SEVEN_PNG, b"image/png"),
        Body.of(SEVEN_PNG, b"Image/JPEG"),
        Body.of(SEVEN_PNG, b""),
        Body.of(SEVEN_PNG, b"application/x-www-form-urlencoded"),
        form(("file", SEVEN_PNG)),
        document({"images": [SEVEN]}),
        document({"images": [f"data:image/png;base64,{SEVEN}"]}),
    ],
)
def test_a_picture_arrives_however_it_is_sent(body):
    assert read(body) == [SEVEN_PNG]


def test_several_pictures_keep_their_order():
    assert read(form(("file", b"a"), ("file", b"b"))) == [b"a", b"b"]
    assert read(document({"images": ["YQ==", "Yg=="]})) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        (Body.of(b"", b"image/png"), BadRequest, "The body is empty"),
        (Body.of(b"x", b"text/html"), UnsupportedMedia, "Content-Type is 'text/html'; expected image/png"),
        (document({}), InvalidInput, "Field 'images' is missing."),
        (document({"images": []}), InvalidInput, "Field 'images' is empty"),
        (document({"images": ["a b"]}), InvalidInput, r"Field 'images\[0\]' is 'a b'; expected base64."),
        (document({"images": ["é"]}), InvalidInput, "expected base64"),
        (document({"images": "x"}), InvalidInput, "Field 'images' is 'x'"),
        (document({"images": [1]}), InvalidInput, r"Field 'images\[0\]' is '1'"),
        (document({"images": [SEVEN], "more": 1}), InvalidInput, "Field 'more'"),
        (document([1]), InvalidInput, "The document"),
        (document({"images": ["YQ=="] * 4}), TooLarge, "'images' has 4 entries; expected at most 3"),
        (form(*[("file", b"a")] * 4), TooLarge, "'file' has 4 entries; expected at most 3"),
        (Body.of(b"--X\r\n", b"multipart/form-data"), BadRequest, "The form cannot be read"),
        (Body.of(b"junk", b"multipart/form-data; boundary=X"), BadRequest, "The form cannot be read"),
        (form(), InvalidInput, "Field 'file' is missing"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_and_what_was_expected(body, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        read(body)
    assert type(raised.value) is error


def test_a_form_with_too_many_fields_is_refused():
    fields = b"".join(b'--X\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n' for _ in range(20))
    with pytest.raises(BadRequest, match="more than 8 fields"):
        read(Body.of(fields + b"--X--\r\n", b"multipart/form-data; boundary=X"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'"\xed\xa0\x80"',
        b"\xff",
        b"[" * 5000 + b"]" * 5000,
        b"[" * 70 + b"]" * 70,
    ],
)
def test_what_is_no_sane_json_is_a_bad_request(data):
    with pytest.raises(BadRequest):
        parse_json(data, max_depth=64)


def test_wide_json_is_not_deep():
    assert len(parse_json(orjson.dumps([[1]] * 1000), max_depth=4)) == 1000


def test_brackets_in_a_string_are_not_depth():
    assert parse_json(orjson.dumps({"text": '[[[{{"\\' * 50}), max_depth=4)


@pytest.mark.parametrize("text", ['[[[{{"\\' * 50, '\\"[' * 50, "\\\\" * 50 + '"' + "[" * 50, "\n[" * 50])
def test_escapes_do_not_hide_where_a_string_ends(text):
    assert parse_json(orjson.dumps({"text": text}), max_depth=4) == {"text": text}
    with pytest.raises(BadRequest, match="deeper"):
        parse_json(orjson.dumps([text, [[[[[1]]]]]]), max_depth=4)


def test_a_body_of_nothing_but_lists_is_refused_before_any_of_them_is_made():
    with pytest.raises(TooLarge, match="more than 1000 lists and objects"):
        parse_json(b"[" + b"[]," * 1000 + b"[]]", 64, 1000)
    assert len(parse_json(b"[" + b'"[",' * 1000 + b"[]]", 64, 1000)) == 1001


@pytest.mark.parametrize(
    "data", [b'["' + b"[" * 5_000_000 + b'"]', b'["' + b"[\\n" * 1_500_000 + b'"]', b'\\"' * 2_000_000 + b"[" * 99]
)
def test_megabytes_of_brackets_and_escapes_are_one_look(data):
    begun = time.perf_counter()
    with contextlib.suppress(BadRequest):
        parse_json(data, 64, 1000)
    assert time.perf_counter() - begun < 1


def test_a_document_with_a_thousand_unknown_fields_is_refused_in_one_sentence():
    with pytest.raises(InvalidInput, match="has 1000 fields"):
        read(document({f"k{index}": 1 for index in range(1000)}))


@pytest.mark.parametrize("verb", [verb for room in rooms().values() for verb in room.verbs], ids=lambda verb: verb.name)
def test_of_a_list_that_is_wrong_throughout_the_first_fault_is_told_and_no_other_looked_for(verb):
    """Pydantic's errors of a body's worth of wrong entries were gigabytes, and minutes of nothing else."""
    for field, value in verb.Request.model_json_schema()["properties"].items():
        if "string" in str(value.get("items", value)) and verb.example.get(field):
            with pytest.raises(ValidationError) as raised:
                verb.Request.model_validate({**verb.example, field: [[1]] * 100})
            assert raised.value.error_count() == 1


def test_a_long_value_is_not_echoed():
    with pytest.raises(ServiceError) as raised:
        read(document({"images": ["*" * 10_000]}))
    assert len(raised.value.message) < 200


def test_the_work_of_a_picture_grows_with_its_pixels():
    assert PICTURE.work(SEVEN_PNG, SETTINGS) == 160 * 160 * bodies.TOUCHES


def test_the_work_is_refused_before_it_is_done():
    with pytest.raises(TooLarge):
        PICTURE.work(SEVEN_PNG, Settings(max_pixels=100))


def test_a_sentence_is_made_of_the_first_fault():
    class Item(BaseModel):
        sizes: list[int]

    with pytest.raises(InvalidInput, match=r"Field 'sizes\[1\]' is 'x': input should be a valid integer"):
        bodies.validated(Item, {"sizes": [1, "x"]})


def test_base64_is_padded_as_the_standard_says():
    with pytest.raises(InvalidInput):
        read(document({"images": [base64.b64encode(b"ab").decode().rstrip("=")]}))
