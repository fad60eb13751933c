"""How much of a reasoning the picture gives."""

from typing import Any

import numpy as np
import pytest

from globe.entities.vocabulary import NOUNS
from globe.figures.grounding import grounding, image_swap, reasoned
from globe.rewards.visual_precision import score

COUNTRIES = ["France", "Kenya", "Japan", "Brazil"]
WORDS = sorted(set(NOUNS.values()))
Z = 1.959964


def answered(n: int, seed: int, sees: bool) -> list[dict[str, Any]]:
    """Pictures that hold six of their country's thirty things and four of all; a model names things of the picture or, unseeing,
    of the country, and now and then any thing."""
    rng = np.random.default_rng(seed)
    records = []
    for at in range(n):
        country = at % len(COUNTRIES)
        typical = WORDS[30 * country : 30 * country + 30]
        there = [*rng.choice(typical, 6, replace=False), *rng.choice(WORDS[120:], 4, replace=False)]
        named = [*rng.choice(there if sees else typical, 5, replace=False), rng.choice(WORDS[120:])]
        text = f"<think>I see {', '.join(f'a {word}' for word in named)}.</think><answer>country: X\ncity: Y</answer>"
        records.append(
            {"id": f"p{at:04}", "answer": text, "truth": {"country": COUNTRIES[country], "entities": list(map(str, there))}}
        )
    return records


def test_the_share_is_that_of_the_reward_counted_over_all_cues() -> None:
    records = answered(60, 0, sees=True)
    found = grounding(reasoned(records))
    shares = [score(record["answer"], {"entities": record["truth"]["entities"]}) for record in records]
    cues = [len(set(record["answer"].partition("I see ")[2].partition(".")[0].split(", "))) for record in records]
    assert found["in_picture"] == round(sum(share.score * count for share, count in zip(shares, cues, strict=True)))
    assert (found["n"], found["named"]) == (60, sum(cues))
    assert found["percent"] == pytest.approx(100 * found["in_picture"] / found["named"], abs=1e-4)
    low, high = found["ci95"]
    assert low < found["percent"] < high


def test_who_sees_the_picture_names_more_of_it_than_of_others() -> None:
    found = image_swap(reasoned(answered(200, 1, sees=True)))
    assert found["n"] == 200
    assert found["own_percent"] > found["same_country_percent"] > found["other_country_percent"]
    assert found["own_minus_same_country"]["ci95"][0] > 30


def test_who_knows_only_the_country_is_borne_out_by_any_picture_of_it() -> None:
    found = image_swap(reasoned(answered(400, 2, sees=False)))
    low, high = found["own_minus_same_country"]["ci95"]
    assert low < 0 < high
    assert found["same_minus_other_country"]["ci95"][0] > 5
    for pair, difference in (("own same_country", "own_minus_same_country"), ("own other_country", "own_minus_other_country")):
        a, b = (found[f"{name}_percent"] for name in pair.split())
        assert found[difference]["difference"] == pytest.approx(a - b, abs=2e-4)


def test_the_draws_depend_on_the_seed_and_not_on_the_order_of_the_records() -> None:
    records = answered(80, 3, sees=True)
    assert image_swap(reasoned(records), 5) == image_swap(reasoned(records[::-1]), 5)
    assert image_swap(reasoned(records), 5) != image_swap(reasoned(records), 6)


def test_a_word_that_only_another_pictures_entities_have_is_a_cue_too() -> None:
    """Else a reasoning that names what only other pictures hold would seem to name nothing, and be judged less."""
    records = [
        {"id": name, "answer": "<think>A zorb.</think>", "truth": {"country": country, "entities": [entity]}}
        for name, country, entity in (("a", "France", "church"), ("b", "France", "zorb"), ("c", "Kenya", "church"))
    ]
    found = image_swap(reasoned(records))
    assert (found["n"], found["own_percent"], found["same_country_percent"]) == (2, 50.0, 50.0)


@pytest.mark.parametrize("countries", [["France"] * 4, ["France", "Kenya", "Japan", "Peru"], ["", "", "Nowhere", "France"]])
def test_without_pictures_of_the_same_country_and_of_another_one_there_is_no_control(countries: list[str]) -> None:
    records = answered(4, 0, sees=True)
    for record, country in zip(records, countries, strict=True):
        record["truth"]["country"] = country
    assert image_swap(reasoned(records)) == {}


@pytest.mark.parametrize("entities", [None, [], "church", [None], [1], {"a": 1}, ["", "the"], 7])
@pytest.mark.parametrize(
    "answer", [None, "", 5, "no tags", "<think></think>", "<think>nothing seen</think>", "\ud800", "<think>a church"]
)
def test_what_cannot_be_judged_is_left_out(entities: Any, answer: Any) -> None:
    broken = {"id": "x", "answer": answer, "truth": {"country": None, "entities": entities}}
    assert grounding(reasoned([broken])) == {}
    assert grounding(reasoned([broken | {"truth": None}])) == {}


def test_cues_of_one_picture_and_pictures_of_one_photographer_are_one_cluster() -> None:
    """Half of the pictures hold all five cues that are named of them, half none."""
    records = answered(80, 0, sees=True)
    for at, record in enumerate(records):
        things = ["church", "bridge", "river", "tower", "bus"]
        record["answer"] = f"<think>I see {', '.join(things)}.</think>"
        record["truth"] |= {"entities": things if at % 2 else ["igloo"]}
    low, high = grounding(reasoned(records))["ci95"]
    assert (low, high) == pytest.approx((39.3, 60.7), abs=0.7)  # as of 80 coins, not of 400
    for at, record in enumerate(records):
        record["truth"]["photographer"] = f"who{at % 8}"
    wider = grounding(reasoned(records))["ci95"]
    assert wider[1] - wider[0] > 1.5 * (high - low)
    one = image_swap(reasoned(records))
    assert one["ci95"]["own_percent"][0] < 35


def test_the_interval_is_honest_where_every_cue_is_held() -> None:
    records = answered(3, 0, sees=True)
    for record in records:
        record["answer"] = "<think>A church and a bridge.</think>"
        record["truth"]["entities"] = ["church", "bridge"]
    found = grounding(reasoned(records))
    assert (found["percent"], found["named"]) == (100.0, 6)
    assert found["ci95"] == [pytest.approx(43.85, abs=0.01), 100.0]


@pytest.mark.parametrize("n", [4, 80])
def test_the_control_is_honest_where_every_own_cue_is_held_and_no_others(n: int) -> None:
    records = [
        {
            "id": f"p{at:02}",
            "answer": f"<think>I see a {WORDS[at]}.</think><answer>country: X\ncity: Y</answer>",
            "truth": {"country": COUNTRIES[at % 2], "entities": [WORDS[at]]},
        }
        for at in range(n)
    ]
    found = image_swap(reasoned(records))
    assert (found["own_percent"], found["other_country_percent"]) == (100, 0)
    low = 100 * n / (n + Z**2)  # Wilson's end for a share of 1 is that of n cues
    assert found["ci95"]["own_percent"] == pytest.approx([low, 100], abs=0.01)
    assert found["ci95"]["other_country_percent"] == pytest.approx([0, 100 - low], abs=0.01)
    expected = [100 - 2**0.5 * (100 - low), 100]
    assert found["own_minus_other_country"]["ci95"] == pytest.approx(expected, abs=0.01)
