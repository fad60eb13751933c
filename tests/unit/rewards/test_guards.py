"""Format, repetition and length; and all rewards against the known hacks."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.entities.vocabulary import NOUNS
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


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (HONEST_WRONG, 1.0),
        (f"\n  {HONEST_WRONG}\n\n", 1.0),
        (HONEST_WRONG.replace("</think>", "</think>\n\n"), 1.0),
        (HONEST_WRONG.replace("country", "\ncountry").replace("</answer>", "\n</answer>"), 1.0),
        ("<think></think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think> \n</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>\u200b</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>...</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>... 石</think><answer>country: A\ncity: B</answer>", 1.0),
        ("<think>a</think><answer></answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity:</answer>", 0.0),
        ("<think>a</think>and<answer>country: A\ncity: B</answer>", 0.0),
        ("Well. <think>a</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity: B</answer> Done.", 0.0),
        ("<think>a</think><answer>country: A\ncity: B", 0.0),
        ("<answer>country: A\ncity: B</answer><think>a</think>", 0.0),
        ("<think>a<think>b</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity: B</answer><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a < b</think><answer>country: A\ncity: B</answer>", 1.0),
        ("", 0.0),
    ],
)
def test_format_is_strict_but_blank_space_around_is_no_fault(completion: str, expected: float) -> None:
    assert score("format", completion) == expected


def test_loops_lose_the_repetition_reward_and_ordinary_text_keeps_it() -> None:
    loop = f"<think>{'the red roofs are here ' * 40}</think>"
    once_more = f"<think>{REASONING} {REASONING}</think>"
    assert score("repetition", HONEST_WRONG) == 1.0
    assert score("repetition", loop) == 0.0
    assert 0.0 <= score("repetition", once_more) < 0.5
    assert score("repetition", f"<think>{'palm ' * 10}</think>") == 0.0
    assert score("repetition", f"<think>{'紅色屋頂' * 60}</think>") == 0.0
    assert score("repetition", "<think>紅色屋頂與棕櫚樹並列於白色教堂旁邊的街道上可見左側行駛汽車。</think>") == 1.0


def test_length_asks_for_some_words_and_not_for_a_book() -> None:
    assert score("length", HONEST_WRONG) == 1.0
    assert score("length", "<think>Kenya</think>") == 0.25
    assert score("length", "<think></think>") == 0.0
    assert score("length", f"<think>{'word ' * 600}</think>") == pytest.approx(0.5)
    assert score("length", f"<think>{'word ' * 2000}</think>") == 0.0
    assert score("length", f"<think>{'a' * 50_000}</think>") == 0.0


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


TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "<answer>",
                "</answer>",
                "country: Kenya",
                "city: Nairobi",
                "\n",
                "palm tree",
                "no ",
                ",",
                "red ",
            ]
        )
        | st.text(max_size=8),
        max_size=40,
    ).map("".join),
    st.none() | st.integers() | st.binary(max_size=5),
)


@given(TEXTS)
def test_every_completion_gets_a_score_in_range_with_a_reason(completion: Any) -> None:
    for name, reward in REWARDS.items():
        result = reward(completion, ROW)
        assert isinstance(result, Score)
        assert 0.0 <= result.score <= 1.0, name
        assert result.reason
        assert "\n" not in result.reason or completion
