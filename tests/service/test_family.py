"""Rooms."""

from service.family import Options, lookups, rooms


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


def test_lookups_are_those_of_a_room_that_has_some_and_share_no_name_with_a_verb():
    found = {name: [lookup.name for lookup in lookups(room)] for name, room in rooms().items()}
    assert found["word2vec"] == ["vocabulary", "map"]
    assert found["classifier"] == []
    verbs = {verb.name for room in rooms().values() for verb in room.verbs}
    assert not verbs & {name for names in found.values() for name in names}
