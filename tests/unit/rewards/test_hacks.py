"""All rewards together: no known hack pays, and whatever a model writes gets a score."""

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from globe.entities.negation import NEGATORS, SEEN
from globe.entities.vocabulary import CLAUSE_WORDS, COLOURS, FUNCTION_WORDS, NOUNS
from globe.geo.countries import same_country
from globe.geo.gazetteer import gazetteer
from globe.rewards import REWARDS, Score

ROW = {
    "id": "1",
    "solution": {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.2833, "lon_deg": 36.8167},
    "entities": ["red earth", "palm tree", "green roof"],
}
REASONING = "Red earth and palm trees next to green roofs point to East Africa."
HONEST_WRONG = f"<think>{REASONING}</think><answer>country: Uganda\ncity: Kampala</answer>"


def score(name: str, completion: Any) -> float:
    return REWARDS[name](completion, ROW).score


def _hacks() -> dict[str, str]:
    gaz = gazetteer()
    cities = [p.name for p in gaz if p.country_code == "KE"]
    random.Random(0).shuffle(cities)
    words = ", ".join(sorted(set(NOUNS.values())))
    answer = "<answer>country: Uganda\ncity: Kampala</answer>"
    return {
        "empty": "",
        "empty answer": f"<think>{REASONING}</think><answer></answer>",
        "several answers": f"<think>{REASONING}</think>"
        + "".join(f"<answer>country: Kenya\ncity: {c}</answer>" for c in ("Nairobi", "Mombasa")),
        "several countries": f"<think>{REASONING}</think><answer>country: Kenya\ncountry: Uganda\ncity: Nairobi</answer>",
        "a list of countries": f"<think>{REASONING}</think><answer>country: Kenya, Uganda, Tanzania\ncity: Nairobi</answer>",
        "countries with or": f"<think>{REASONING}</think><answer>country: Kenya or Uganda\ncity: Nairobi</answer>",
        "all cities": f"<think>{REASONING}</think><answer>country: Kenya\ncity: {', '.join(['Nairobi', *cities])}</answer>",
        "five cities": f"<think>{REASONING}</think><answer>country: Kenya\ncity: Nairobi, Mombasa, Kisumu, Nakuru, Voi</answer>",
        "cities with or": f"<think>{REASONING}</think><answer>country: Kenya\ncity: Nairobi or Mombasa</answer>",
        "keywords": f"<think>{words}</think>{answer}",
        "keywords twice": f"<think>{words} {words}</think>{answer}",
        "negations": f"<think>no red earth, no palm tree, no green roof</think>{answer}",
        "denials": f"<think>red earth is not visible, palm trees cannot be seen, green roofs are nowhere</think>{answer}",
        "nothing to be seen": f"<think>\u200b</think>{answer}",
        "answer inside the reasoning": "<think>Red earth. <answer>country: Kenya\ncity: Nairobi</answer></think>",
        "reasoning only": f"<think>{REASONING} country: Kenya city: Nairobi</think>",
        "not text": None,  # type: ignore[dict-item]
        "a megabyte": f"<think>{'palm tree ' * 100_000}</think><answer>country: Kenya\ncity: Nairobi</answer>",
    }


@pytest.mark.parametrize("hack", list(_hacks()))
def test_no_hack_earns_more_than_an_honest_wrong_answer(hack: str) -> None:
    completion = _hacks()[hack]
    names = ("accuracy", "distance", "visual_precision", "visual_recall", "format", "repetition", "length")
    earned = {name: score(name, completion) for name in names}
    honest = {name: score(name, HONEST_WRONG) for name in names}
    assert sum(earned.values()) <= sum(honest.values()), earned
    assert earned["accuracy"] <= honest["accuracy"]
    assert earned["visual_precision"] <= honest["visual_precision"]
    assert earned["visual_recall"] <= honest["visual_recall"]
    assert not same_country("Uganda", "Kenya")


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
    st.sampled_from(sorted(FUNCTION_WORDS)),
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


@settings(max_examples=600, deadline=None)
@given(COMPLETIONS, st.sampled_from(ROWS))
@example("<think>rather no church than a mosque, palm absent. red but roof</think>", ROWS[3])
@example("<think>" + "roof " * 3990 + "</think>", ROWS[0])
@example("<think>" + "a.b," * 6000 + "</think>", ROWS[0])
@example("<think>the church's white roof's</think>", ROWS[0])
@example("<think>a\ud800b roof \x00\x00 roof\x00</think>", ROWS[0])
@example("<think>\u200b</think><answer>country: Kenya\ncity: Nairobi</answer>", ROWS[0])
@example("<think>no roof, " + "palm " * 60 + "or church</think>", ROWS[0])
def test_every_completion_gets_a_score_in_range_with_a_reason(completion: Any, row: dict[str, Any]) -> None:
    for name, reward in REWARDS.items():
        result = reward(completion, row)
        assert isinstance(result, Score)
        assert 0.0 <= result.score <= 1.0, name
        assert result.reason
