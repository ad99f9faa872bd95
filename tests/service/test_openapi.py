"""What the docs say."""

from service import media, openapi
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
