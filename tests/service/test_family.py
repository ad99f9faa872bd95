"""Rooms."""

from service.family import Options, rooms


def test_the_folder_listing_is_the_registry():
    assert "classifier" in rooms()


def test_every_room_has_its_verbs_and_each_verb_its_example():
    verbs = [verb for room in rooms().values() for verb in room.verbs]
    assert verbs
    for verb in verbs:
        assert verb.Request.model_validate(verb.example)
        assert issubclass(verb.Options, Options)


def test_no_two_verbs_have_one_name():
    names = [verb.name for room in rooms().values() for verb in room.verbs]
    assert len(names) == len(set(names))
