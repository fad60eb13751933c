"""Scoring a batch gives the very scores of the plain functions, whatever the texts."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from globe.entities.vocabulary import BREAKS, CLAUSE_WORDS, COLOURS, NEGATORS, NOUNS, SEEN
from globe.errors import InputError
from globe.rewards import BATCH_REWARDS, REWARDS, Batch, score_batch
from globe.rewards.batch import MAX_TOGETHER
from globe.rewards.score import tokenize
from globe.rewards.words import read_words, vocabulary

KENYA = {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.2833, "lon_deg": 36.8167}
ROWS: list[dict[str, Any]] = [
    {"solution": KENYA, "entities": ["red earth", "palm tree", "green roof", "white church"]},
    {"solution": {**KENYA, "city": ""}, "entities": ["cars on the left", "dark red roof", "Eiffel Tower", "orange oranges"]},
    {"solution": {"country": "Germany", "city": "Munich"}, "entities": []},
    {
        "solution": {"country": "Atlantis", "city": "x", "lat_deg": 0.0, "lon_deg": 0.0},
        "entities": ["but", "than", "absents", "café", "石の塔"],
    },
    {"solution": KENYA, "entities": ["red bikies", "pale left", "no church", "roofs' tiles", "a" * 30, "white " + "b" * 30]},
]  # fmt: skip
OWN = [
    "eiffel",
    "towers",
    "orange",
    "bikie",
    "bikies",
    "石の塔",
    "cafés",
    "nots",
    "a" * 30,
    "a" * 29,
    "b" * 30,
    "b" * 31,
    "absents",
]
STEERING = [*sorted(NEGATORS | COLOURS | CLAUSE_WORDS | SEEN), "or", "nor", "than", "of", "rather than", "instead of", "not only"]
BLANKS = [
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\x0b",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2003",
    "\u3000",
    "\u2028",
    ", ",
    ". ",
    ",",
    ".",
    "'s ",
    "’s ",
]
WORDS = st.one_of(
    st.sampled_from(sorted(NOUNS)),
    st.sampled_from(["roof", "church", "earth", "palms", "left", "right", "tower", "leaves"]),
    st.sampled_from(STEERING),
    st.sampled_from(sorted(BREAKS)),
    st.sampled_from(OWN),
    st.text(max_size=20),
)
REASONINGS = st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", " ", *BLANKS])), max_size=60).map(
    lambda pairs: "".join(word + blank for word, blank in pairs)
)
LOOPS = st.tuples(REASONINGS, st.integers(1, 12)).map(lambda pair: pair[0] * pair[1])
ANSWERS = st.sampled_from(
    [
        "country: Kenya\ncity: Nairobi", "country: Kenya\ncity: Mombasa", "country: Uganda, city: Kampala",
        "country: Deutschland\ncity: München", "", "city: x", "country: U.S.\ncity: St. Louis", "country: USA\ncity: New  York ",
        "country:  Türkiye\ncity: İstanbul", "COUNTRY: Kenya\nCity: Nairobi", "country: Kenya\ncity: Nairobi or Mombasa",
        "country: Kenya\ncity: **Nairobi**", "country: ケニア\ncity: \u2160", "country: Kenya\r\ncity: Nairobi",
    ]
)  # fmt: skip
TAGS = ["<think>", "</think>", "<answer>", "</answer>", "< ", "\n", "red roof "]
COMPLETIONS = st.one_of(
    st.tuples(REASONINGS | LOOPS, ANSWERS).map(lambda pair: f"<think>{pair[0]}</think><answer>{pair[1]}</answer>"),
    st.lists(st.sampled_from(TAGS) | ANSWERS | st.text(max_size=8), max_size=12).map("".join),
    st.text(alphabet=st.characters(), max_size=200).map(lambda text: f"<think>{text}</think>"),
    st.none() | st.integers() | st.binary(max_size=5),
)  # fmt: skip


def plain(completions: list[Any], rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    return {
        name: [score(completion, row).score for completion, row in zip(completions, rows, strict=True)]
        for name, score in REWARDS.items()
    }


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(COMPLETIONS, st.sampled_from(ROWS)), max_size=6))
@example([])
@example([("<think>rather no church than a mosque, palm absent. red but roof</think>", ROWS[3])])
@example([("<think>" + "roof " * 3990 + "</think>", ROWS[0]), ("<think>" + "a.b," * 6000 + "</think>", ROWS[0])])
@example([("<think>red church, a green churchs bikie</think>", {"solution": KENYA, "entities": ["red churchs", "blue bikies"]})])
@example([("<think>the church's white roof's</think>", ROWS[0]), ("<think>s red</think>", ROWS[0])])
@example([("<think>a\ud800b roof \x00\x00 roof\x00</think>", ROWS[0])])
@example(
    [("<think>roof not church, palm isn't never not visible, red roof neither absent or palms not visible</think>", ROWS[0])]
)
@example([("<think>\u200b</think><answer>country: Kenya\ncity: Nairobi</answer>", ROWS[0])])
@example([("<think>no roof, " + "palm " * 60 + "or church</think>", ROWS[0])])
def test_a_batch_scores_as_the_plain_functions_do(pairs: list[tuple[Any, dict[str, Any]]]) -> None:
    completions, rows = [c for c, _ in pairs], [r for _, r in pairs]
    assert score_batch(completions, rows) == plain(completions, rows)


@settings(max_examples=300, deadline=None)
@given(REASONINGS, st.lists(st.lists(WORDS, max_size=3).map(" ".join), max_size=5))
def test_any_entities_are_judged_alike(reasoning: str, entities: list[str]) -> None:
    completion, row = f"<think>{reasoning} {' '.join(entities)}</think>", {"entities": entities}
    for name in ("visual_precision", "visual_recall"):
        assert score_batch([completion], [row], [name]) == {name: [REWARDS[name](completion, row).score]}


@settings(max_examples=300, deadline=None)
@given(st.lists(REASONINGS | st.text(max_size=60), max_size=5))
def test_words_are_those_of_the_plain_tokenizer(reasonings: list[str]) -> None:
    words = read_words(reasonings)
    first = 0
    for reasoning, end in zip(reasonings, words.ends.tolist(), strict=True):
        found = [words.word(i).decode("utf-8", "surrogatepass") for i in range(first, end)]
        assert found == tokenize(reasoning) == words.between(first, end)
        first = end + 1


def test_every_blank_of_the_plain_tokenizer_divides_words_here_too() -> None:
    blanks = [chr(i) for i in range(0x110000) if chr(i).isspace()]
    text = "".join(f"red{blank}roof{blank}" for blank in blanks)
    words = read_words([text])
    assert [words.word(i).decode() for i in range(int(words.ends[0]))] == tokenize(text)


def test_every_form_of_the_vocabulary_is_found_and_nothing_like_it() -> None:
    forms = sorted(NOUNS)
    words = read_words([" ".join(forms), " ".join(form + "q" for form in forms), " ".join("q" + form for form in forms)])
    nouns = vocabulary().noun[words.form]
    found = [vocabulary().nouns[noun] for noun in nouns[nouns >= 0]]
    assert found == [NOUNS[form] for form in forms]
    assert vocabulary().length.max() <= 16  # a word is known by its first sixteen bytes


def test_more_completions_than_fit_one_batch_are_scored_in_order() -> None:
    completions = [
        f"<think>{'red roof ' * (i % 7)}church {i}</think><answer>country: Kenya\ncity: Nairobi</answer>"
        for i in range(2 * MAX_TOGETHER + 3)
    ]
    rows = [ROWS[i // 8 % len(ROWS)] for i in range(2 * MAX_TOGETHER + 3)]
    assert score_batch(completions, rows) == plain(completions, rows)


@pytest.mark.parametrize("name", list(REWARDS))
@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"solution": {"country": ""}, "entities": "x"},
        {"solution": KENYA, "entities": [3]},
        {"solution": {"country": "Mordor"}},
    ],
)
def test_a_broken_row_is_the_same_error(name: str, broken: dict[str, Any]) -> None:
    completions, rows = ["<think>a</think>", "<think>b</think>"], [ROWS[0], {"id": "picture-7", **broken}]
    expected = outcome(lambda: [REWARDS[name](c, r).score for c, r in zip(completions, rows, strict=True)])
    assert outcome(lambda: BATCH_REWARDS[name](Batch(completions, rows))) == expected


def outcome(work: Callable[[], list[float]]) -> list[float] | str:
    try:
        return work()
    except InputError as error:
        return str(error)
