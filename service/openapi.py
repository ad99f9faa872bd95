"""What the OpenAPI document says beyond FastAPI's own: bodies that are read as bytes, their examples, the one error form.

Made from the verbs' pydantic classes, so that docs and checks are the same. Knows pydantic and the verbs; serves
nothing.
"""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, create_model

from service import media
from service.family import Lookup, Verb


class Error(BaseModel):
    """What every error answers: one sentence, a stable code, the id to look for in the log."""

    error: str
    code: str
    request_id: str


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": description}
    for status, description in {
        400: "The request cannot be read",
        404: "No such model or version",
        408: "The headers or the body took too long to arrive",
        413: "Too large",
        414: "The path and query are too long",
        415: "A media type or picture format that is not taken",
        422: "A value that is not what was expected",
        431: "The headers are too large, or too many",
        500: "The service or the model failed; the log says why",
        503: "Overloaded or loading; Retry-After says when to ask again",
        504: "No answer within the deadline",
    }.items()
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These, and what any request can be told."""
    return {status: ERRORS[status] for status in sorted({*statuses, 408, 414, 431, 500})}


PROTOCOL_ERRORS: dict[int | str, dict[str, Any]] = {
    **errors(400, 404, 413, 503, 504),
    501: {"model": Error, "description": "A part of the protocol that is not offered"},
}


GUARDED: dict[str, dict[str, Any]] = {
    "401": {"description": "No API key, or none that is valid"},
    "403": {"description": "A key without the role that this needs"},
    "429": {"description": "Beyond the key's rate; Retry-After says when to ask again"},
}


def with_roles(document: dict[str, Any], needed: Callable[[str, str], str | None]) -> dict[str, Any]:
    """The document with what wants an API key, and of what role: `needed(method, path)`."""
    document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if role := needed(method.upper(), path):
                operation["security"] = [{"key": []}]
                operation["x-role"] = role
                operation["responses"] |= {status: {**said, "content": error} for status, said in GUARDED.items()}
    return document


def verb_response(verb: Verb) -> type[BaseModel]:
    """The answer's envelope: the model, its version, and one prediction for each input, in order."""
    return create_model(
        f"{verb.name.capitalize()}Response",
        model=(str, ...),
        version=(int, ...),
        predictions=(list[verb.Prediction], ...),  # type: ignore[name-defined]  # a class held in a field
    )


def verb_responses(verb: Verb) -> dict[int | str, dict[str, Any]]:
    """What a verb answers beside the envelope: errors, and a picture where the client wants one and the verb draws."""
    if verb.draw is None:
        return ERRORS
    picture = {media.PNG: {"schema": {"type": "string", "format": "binary"}}}
    said = "Predictions; or, where Accept names image/png and not application/json, their pictures side by side in one"
    return {200: {"description": said, "content": picture}, **ERRORS}


def lookup_response(lookup: Lookup) -> type[BaseModel]:
    """The answer of a lookup: the model, its version, and what the lookup says."""
    return create_model(f"{lookup.name.capitalize()}Response", __base__=lookup.Answer, model=(str, ...), version=(int, ...))


def query(options: type[BaseModel]) -> list[dict[str, Any]]:
    """The fields of a query for OpenAPI."""
    found = options.model_json_schema()["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in found.items()]


def verb_extra(verb: Verb) -> dict[str, Any]:
    """The query and the body of a verb for OpenAPI, from its pydantic classes."""
    content: dict[str, Any] = {}
    for kind in verb.reader.media:
        if kind == media.JSON:
            content[kind] = {"schema": verb.Request.model_json_schema(), "example": verb.example}
        elif kind == media.TEXT:
            content[kind] = {"schema": {"type": "string"}}
        elif kind == media.FORM:
            files = {"type": "array", "items": {"type": "string", "format": "binary"}}
            content[kind] = {"schema": {"type": "object", "properties": {"file": files}, "required": ["file"]}}
        else:
            content[kind] = {"schema": {"type": "string", "format": "binary"}}
    ordered = dict(sorted(content.items(), key=lambda entry: entry[0] != media.JSON))
    return {"requestBody": {"required": True, "content": ordered}, "parameters": query(verb.Options)}


BYTES = {media.OCTETS: {"schema": {"type": "string", "format": "binary"}}}
INFER_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Tensors as JSON; or, where bytes are asked for, JSON and bytes behind it", "content": BYTES},
    **PROTOCOL_ERRORS,
}
INFER_EXTRA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["inputs"]},
                "example": {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [0] * 784}]},
            },
            **BYTES,
        },
    }
}


def control_extra(example: dict[str, Any]) -> dict[str, Any]:
    """The body of a call about the repository, which may be left out, for OpenAPI."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": False, "content": content}}


def without_validation(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document without its own 422, which no endpoint answers: errors have one form, and /v2 says 400."""
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)
    return document
