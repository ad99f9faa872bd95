"""Schema: requests made of the OpenAPI document, good ones and bad ones, and whether the answers are what it says.

Schemathesis makes and checks them. It does not ask that whatever fits the document is accepted (`positive_data_acceptance`): a
schema cannot say that a text in base64 is a picture, that a word is not blank, or that a code has as many numbers as the model's.
Nor does it try methods that the document does not have: the fuzz drill does.
"""

import contextlib
from collections import Counter
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.drills.figures import Figure, Ground
from tests.drills.fuzz import own

ANYWHERE = True
CHANGES = ("/v2/repository/models/{name}/load", "/v2/repository/models/{name}/unload")
"""What is served: asked last, and of one's own service only."""
CHECKS = {
    "not_a_server_error": "answers of 5xx",
    "status_code_conformance": "answers with a status that the document does not have",
    "content_type_conformance": "answers of another media type than documented",
    "response_schema_conformance": "answers that do not fit their schema",
    "response_headers_conformance": "answers without a documented header",
    "negative_data_rejection": "requests that do not fit the document and were accepted",
}


def drill(ground: Ground, examples: int = 12) -> list[Figure]:
    """So many requests that fit the document, and as many that do not, at each of its endpoints."""
    url = ground.url or own(ground).url
    headers = {"Authorization": f"Bearer {ground.key}"} if ground.key else {}
    document = requests.get(f"{url}/openapi.json", headers=headers, timeout=30).json()
    asked, bad, first = Counter[str](), Counter[str](), dict[str, str]()
    for operation in _operations(document, url, changes=not ground.url):
        _ask(operation, (headers, examples), (asked, bad, first))
    told = f"{asked['all']} requests, {len(asked) - 1} endpoints"
    return [
        Figure(what, "0", f"{bad[check]} of {told}{first.get(check, '')}", ok=not bad[check] and asked["all"] > 0)
        for check, what in CHECKS.items()
    ]


def _operations(document: dict[str, Any], url: str, *, changes: bool) -> list[Any]:
    import schemathesis  # seconds: not for who only lists the drills

    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = url
    found = [one.ok() for one in schema.get_all_operations()]
    return sorted((one for one in found if changes or one.path not in CHANGES), key=lambda one: one.path in CHANGES)


def _ask(operation: Any, how: tuple[dict[str, str], int], found: tuple[Counter[str], Counter[str], dict[str, str]]) -> None:
    from schemathesis.checks import CHECKS as KNOWN
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode

    (headers, examples), (asked, bad, first) = how, found
    checks = {name: KNOWN.get_one(name) for name in CHECKS}

    def ask(case: Any) -> None:
        answer = case.call(headers=headers)
        asked.update(("all", operation.label))
        for name, check in checks.items():
            try:
                case.validate_response(answer, checks=[check])
            except FailureGroup:
                bad[name] += 1
                first.setdefault(name, f"; first: {operation.label}: {answer.status_code} {answer.text[:100]}")

    quick = settings(max_examples=examples, database=None, derandomize=True, deadline=None, phases=[Phase.generate])
    quick = settings(quick, suppress_health_check=list(HealthCheck))
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        with contextlib.suppress(Unsatisfiable):  # what takes nothing cannot be asked wrongly
            quick(given(operation.as_strategy(generation_mode=mode))(ask))()
