"""What the docs say."""

from service import media, openapi
from service.app import create_app
from service.family import rooms

VERBS = [verb for room in rooms().values() for verb in room.verbs]


def test_every_media_type_that_a_verb_reads_is_documented_json_first():
    for verb in VERBS:
        content = openapi.verb_extra(verb)["requestBody"]["content"]
        assert set(content) == set(verb.reader.media)
        assert next(iter(content)) == media.JSON


def test_every_option_is_a_documented_parameter():
    for verb in VERBS:
        names = {parameter["name"] for parameter in openapi.verb_extra(verb)["parameters"]}
        assert names == set(verb.Options.model_fields)


def test_a_verb_that_draws_answers_a_picture_too_and_errors_stay_json():
    for verb in VERBS:
        responses = openapi.verb_responses(verb)
        assert (media.PNG in responses.get(200, {}).get("content", {})) == (verb.draw is not None)
        assert all(responses[status] == openapi.ERRORS[status] for status in openapi.ERRORS)
    assert any(verb.draw for verb in VERBS)


def test_the_error_form_has_a_sentence_a_code_and_an_id():
    assert set(openapi.Error.model_fields) == {"error", "code", "request_id"}


def test_the_answer_holds_predictions():
    for verb in VERBS:
        assert set(openapi.verb_response(verb).model_fields) == {"model", "version", "predictions"}


def test_every_status_that_any_request_can_be_told_is_documented_everywhere(settings):
    document = create_app(settings).openapi()
    for path in document["paths"].values():
        for operation in path.values():
            assert {"408", "414", "431", "500"} <= operation["responses"].keys()


def test_no_other_form_of_an_error_is_documented(settings):
    document = create_app(settings).openapi()
    assert "ValidationError" not in str(document)
    assert "422" not in document["paths"]["/v2/models/{name}/infer"]["post"]["responses"]


def test_tensors_as_bytes_are_documented_both_ways(settings):
    infer = create_app(settings).openapi()["paths"]["/v2/models/{name}/infer"]["post"]
    assert media.OCTETS in infer["requestBody"]["content"]
    assert media.OCTETS in infer["responses"]["200"]["content"]
