import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.entities.matching import VISUAL, Thing, known, named, thing_of
from globe.entities.vocabulary import NOUNS


def found(text, *things):
    return [str(mention.thing) for mention in named(text, known(map(thing_of, things)))]


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("Palm trees", Thing(("palm", "tree"))),
        ("the dark red roofs", Thing(("roof",), frozenset({"red"}))),
        ("cars on the left", Thing(("car", "left"))),
        ("an old church", Thing(("church",))),
        ("Eiffel Tower", Thing(("eiffel", "tower"))),
        ("石の塔", Thing(("石の塔",))),
        ("no snow", Thing(())),
        ("green", Thing((), frozenset({"green"}))),
        ("", Thing(())),
    ],
)
def test_a_name_is_read_into_words_and_colours(text, thing):
    assert thing_of(text) == thing


@pytest.mark.parametrize(
    ("text", "things", "expected"),
    [
        ("Red roofs, and a palm tree.", ["red roof", "palm tree", "snow"], ["red roof", "palm tree"]),
        ("cars in left traffic", ["traffic", "left traffic", "car"], ["car", "left traffic"]),
        ("cars on the left", ["car on the left"], ["car left"]),
        ("scarce carpets", ["car"], []),
        ("red, roof", ["red roof"], []),
        ("palm, tree", ["palm tree"], []),
        ("palm trees", ["palm", "tree"], ["palm", "tree"]),
        ("snow and snow", ["snow"], ["snow", "snow"]),
        ("buses under leaves", ["bus", "leaf"], ["bus", "leaf"]),
        ("bikes in the harbour", ["bicycle", "harbor"], ["bicycle", "harbor"]),
        ("green tiled roofs", ["green roof"], ["green roof"]),
        ("a green church roof", ["green roof", "green church"], ["green church", "green roof"]),
        ("roofs", ["red roof"], []),
        ("blue roofs", ["red roof"], []),
        ("blue roofs", ["red roof", "roof"], ["roof"]),
        ("red and white signs", ["white sign", "red sign"], ["white sign"]),
        ("gray roofs", ["grey roof"], ["grey roof"]),
        ("dark roofs", ["roof"], ["roof"]),
        ("There isn't a mosque.", ["mosque"], []),
        ("A mosque is not visible.", ["mosque"], []),
        ("Palms are absent.", ["palm"], []),
        ("no cars, churches or palms", ["car", "church", "palm"], []),
        ("no palms, red roofs", ["palm", "red roof"], ["red roof"]),
        ("roofs without snow but palms", ["roof", "snow", "palm"], ["roof", "palm"]),
        ("The church's door isn't a gate.", ["church", "door", "gate"], ["church", "door"]),
        ("No palm. Palms!", ["palm"], ["palm"]),
        ("palms (no snow) and roofs", ["palm", "snow", "roof"], ["palm", "roof"]),
    ],
)
def test_things_are_named_whole_the_longest_first_in_their_colours_and_not_when_denied(text, things, expected):
    assert found(text, *things) == expected


def test_a_mention_tells_the_colours_that_the_text_says():
    assert [mention.colours for mention in named("Gray roofs, roofs", known([thing_of("roof")]))] == [{"grey"}, frozenset()]


def test_things_gathered_before_are_looked_for_too():
    more = known(map(thing_of, ["palm tree", "red palm", "kasbah"]), known(map(thing_of, ["palm", "roof"])))
    assert [str(mention.thing) for mention in named("Palm trees, red palms, palms, a kasbah, roofs", more)] == [
        *("palm tree", "red palm", "palm", "kasbah", "roof"),
    ]


def test_every_form_of_the_vocabulary_is_found_and_nothing_like_it():
    for form, noun in NOUNS.items():
        assert [mention.thing.words for mention in named(f"a {form} here", VISUAL)] == [(noun,)]
        assert named(f"a {form}q, q{form}", VISUAL) == []


WORDS = st.sampled_from(["palm", "trees", "red", "grey", "church", "roofs", "left", "old", "the", "buses", "leaves", "kasbah"])
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(NAMES)
def test_what_a_thing_is_called_names_it(name):
    thing = thing_of(name)
    assert thing_of(str(thing)) == thing
    if thing.words:
        assert thing in [mention.thing for mention in named(str(thing), known([thing]))]


@given(st.lists(NAMES, max_size=4), st.text(max_size=200) | st.lists(WORDS | st.just("no") | st.just(",")).map(" ".join))
def test_only_known_things_are_named_and_each_at_its_own_words(names, text):
    things = [thing_of(name) for name in names]
    mentions = named(text, known(things))
    assert {mention.thing for mention in mentions} <= set(things)
    assert all(not mention.thing.colours or mention.thing.colours == mention.colours for mention in mentions)


@given(NAMES, st.sampled_from(["There is no {}.", "{} is not visible", "No snow, {} or sand.", "without any {}", "{} is absent"]))
def test_what_is_denied_is_not_named(name, sentence):
    thing = thing_of(name)
    assert named(sentence.format(str(thing)), known([thing])) == []


@given(st.lists(NAMES, max_size=6), st.lists(NAMES, max_size=6), st.lists(NAMES | WORDS, max_size=12).map(" ".join))
def test_things_beside_others_are_found_as_if_all_were_gathered_at_once(names, others, text):
    things, more = [thing_of(name) for name in names], [thing_of(name) for name in others]
    assert named(text, known(things, known(more))) == named(text, known([*things, *more]))
    assert set(known(things, known(more))) == {thing for thing in (*things, *more) if thing.words}


@given(st.lists(NAMES, max_size=8), st.lists(NAMES | WORDS, max_size=12).map(" ".join))
def test_of_all_things_that_begin_at_a_word_the_longest_with_the_colours_said_is_named(names, text):
    things = {thing for name in names if (thing := thing_of(name)).words}
    for mention in named(text, known(things)):
        assert mention.thing in things
        assert mention.thing.colours in (frozenset(), mention.colours)
        assert not mention.colours or mention.thing.colours or Thing(mention.thing.words, mention.colours) not in things
