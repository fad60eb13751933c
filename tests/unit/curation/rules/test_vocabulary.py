import random

import pytest

from globe.curation.rules import vocabulary as module
from globe.curation.rules.elements import element_of
from globe.curation.rules.vocabulary import Vocabulary
from globe.curation.teachers.replies import CoordinateReply, Record, SegmentationReply, VlmReply
from globe.entities.matching import Thing


def shared(vocabulary):
    return {str(thing) for thing in vocabulary.shared()}


def record(teacher, **reply):
    return Record(id="x", teacher=teacher, key="00", status="ok", attempts=1, **reply)


def test_one_teacher_alone_cannot_make_a_word_an_element():
    vocabulary = Vocabulary()
    vocabulary.add("a", ["road", "palm"])
    vocabulary.add("a", ["road"])
    vocabulary.add("b", ["palms"])
    assert shared(vocabulary) == {"palm"}
    vocabulary.add("b", ["roads"])
    assert shared(vocabulary) == {"palm", "road"}


def test_a_thing_comes_back_with_its_words_and_colours():
    vocabulary = Vocabulary()
    for teacher in ("a", "b"):
        vocabulary.add(teacher, ["dark red tiled roof", "white and blue church tower", "orange", "oranges"])
    assert set(vocabulary.shared()) == {
        element_of("dark red tiled roof"),
        element_of("white and blue church tower"),
        Thing(("orange",)),
    }


WORDS = [f"{size} {thing}" for size in ("tiled", "wooden", "stone") for thing in ("roof", "tower", "wall", "bridge", "house")]


@pytest.mark.parametrize("buffered", [1, 7, 10_000])
def test_the_most_listed_things_are_kept_whatever_the_order_of_the_pictures(monkeypatch, buffered):
    monkeypatch.setattr(module, "_BUFFERED", buffered)
    rng = random.Random(3)
    lists = [(rng.choice("abc"), rng.choices(WORDS, weights=range(1, len(WORDS) + 1), k=4)) for _ in range(300)]
    times, users = {}, {}
    for teacher, texts in lists:
        for text in set(texts):
            times[text] = times.get(text, 0) + 1
            users.setdefault(text, set()).add(teacher)
    listed = sorted((text for text in times if len(users[text]) > 1), key=lambda text: (-times[text], text))
    for _ in range(3):
        rng.shuffle(lists)
        vocabulary = Vocabulary(max_shared=6)
        for teacher, texts in lists:
            vocabulary.add(teacher, texts)
        assert shared(vocabulary) == set(listed[:6])


def test_memory_holds_no_more_things_than_the_buffer(monkeypatch):
    monkeypatch.setattr(module, "_BUFFERED", 50)
    vocabulary = Vocabulary(max_shared=10)
    for number in range(2_000):
        vocabulary.add("ab"[number % 2], [f"thing{number // 2:04d}"])
        assert len(vocabulary._new) < 50
    assert len(shared(vocabulary)) == 10


def test_it_learns_from_records_what_each_kind_of_teacher_says():
    vocabulary = Vocabulary()
    reply = VlmReply(localizable=True, score=1, reasoning="", elements=["kasbah"])
    vocabulary.learn(record("a", vlm=reply))
    vocabulary.learn(record("b", vlm=reply))
    vocabulary.learn(record("c", coordinates=CoordinateReply(lat_deg=0, lon_deg=0, confidence=1)))
    assert shared(vocabulary) == {"kasbah"}
    tree = element_of("tree")
    assert vocabulary.classes("s").see(tree, {}, 0.001) is None
    vocabulary.learn(record("s", segmentation=SegmentationReply(shares={"sky": 0.5})))
    assert vocabulary.classes("s").see(element_of("sky"), {}, 0.001) is False
    assert vocabulary.classes("s").see(tree, {}, 0.001) is None
    vocabulary.learn(record("s", segmentation=SegmentationReply(shares={}, known=["sky", "tree"])))
    assert vocabulary.classes("s").see(tree, {}, 0.001) is False
    assert vocabulary.classes("other").see(tree, {}, 0.001) is None
