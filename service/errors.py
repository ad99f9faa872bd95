"""Every error a client can be told of, as one tree. Knows no HTTP library and no other module.

    ServiceError 500 internal
    ├─ BadRequest 400 bad_request             the request cannot be read at all
    │  ├─ InvalidTensor 400 invalid_tensor    a /v2 tensor's name, dtype, shape or data
    │  └─ MisdirectedRequest 400 misdirected_request  a name in the header Host that is not ours
    ├─ Unauthorized 401 unauthorized         no API key, or none that is valid
    ├─ Forbidden 403 forbidden               a key without the role
    ├─ NotFound 404 not_found                 no such path
    │  ├─ UnknownModel 404 unknown_model
    │  └─ UnknownVersion 404 unknown_version
    ├─ MethodNotAllowed 405 method_not_allowed
    ├─ RequestTimeout 408 request_timeout     headers or body came too slowly
    ├─ TooLarge 413 too_large                 body, picture or number of inputs
    ├─ UriTooLong 414 uri_too_long
    ├─ UnsupportedMedia 415 unsupported_media a content type, encoding or picture format we do not take
    ├─ InvalidInput 422 invalid_input         readable, but a field's value is not what was expected
    ├─ TooManyRequests 429 too_many_requests  a key beyond its rate
    ├─ HeadersTooLarge 431 headers_too_large
    ├─ ModelFailed 500 model_failed           the graph raised, or gave NaN
    ├─ NotImplementedHere 501 not_implemented a part of the protocol we do not offer
    ├─ Unavailable 503 unavailable            not loaded yet, or draining
    │  └─ Overloaded 503 overloaded           a queue is full, or the wait in it was too long
    └─ DeadlineExceeded 504 deadline_exceeded

A message is one sentence that names the field, the value and what was expected; `shown` shortens a value for it.
"""

from collections.abc import Iterator

MAX_SHOWN = 60


class ServiceError(Exception):
    """An error with the HTTP `status`, the stable `code` and the sentence a client gets."""

    status = 500
    code = "internal"
    retry_after_s: int | None = None

    def __init__(self, message: str = "The service failed to answer this request; its log has the cause.") -> None:
        super().__init__(message)
        self.message = message


class BadRequest(ServiceError):
    status, code = 400, "bad_request"


class InvalidTensor(BadRequest):
    code = "invalid_tensor"


class MisdirectedRequest(BadRequest):
    code = "misdirected_request"


class Unauthorized(ServiceError):
    status, code = 401, "unauthorized"


class Forbidden(ServiceError):
    status, code = 403, "forbidden"


class NotFound(ServiceError):
    status, code = 404, "not_found"


class UnknownModel(NotFound):
    code = "unknown_model"


class UnknownVersion(NotFound):
    code = "unknown_version"


class MethodNotAllowed(ServiceError):
    status, code = 405, "method_not_allowed"


class RequestTimeout(ServiceError):
    status, code = 408, "request_timeout"


class TooLarge(ServiceError):
    status, code = 413, "too_large"


class UriTooLong(ServiceError):
    status, code = 414, "uri_too_long"


class UnsupportedMedia(ServiceError):
    status, code = 415, "unsupported_media"


class InvalidInput(ServiceError):
    status, code = 422, "invalid_input"


class TooManyRequests(ServiceError):
    status, code = 429, "too_many_requests"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeadersTooLarge(ServiceError):
    status, code = 431, "headers_too_large"


class ModelFailed(ServiceError):
    code = "model_failed"


class NotImplementedHere(ServiceError):
    status, code = 501, "not_implemented"


class Unavailable(ServiceError):
    status, code, retry_after_s = 503, "unavailable", 1


class Overloaded(Unavailable):
    code = "overloaded"


class DeadlineExceeded(ServiceError):
    status, code = 504, "deadline_exceeded"


def shown(value: object) -> str:
    """`repr` of a client's value for a message: printable ASCII, at most MAX_SHOWN characters."""
    text = value[: MAX_SHOWN + 1] if isinstance(value, str) else ""
    for piece in () if isinstance(value, str) else _pieces(value):
        text += piece
        if len(text) > MAX_SHOWN:  # the rest of it may be megabytes
            break
    text = ascii(text[: MAX_SHOWN + 1])
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 4] + "...'"


def _pieces(value: object) -> Iterator[str]:
    """What `repr` says of JSON's values, piece by piece."""
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield ", " if index else "["
            yield from _pieces(one)
        yield "]" if value else "[]"
    elif isinstance(value, dict):
        for index, (key, one) in enumerate(value.items()):
            yield ", " if index else "{"
            yield from _pieces(key)
            yield ": "
            yield from _pieces(one)
        yield "}" if value else "{}"
    else:
        yield repr(value[: MAX_SHOWN + 1] if isinstance(value, str | bytes) else value)
