import re
import time

import pytest

from globe.entities.negation import denied
from globe.entities.words import tokenize

THINGS = {"mosque", "palms", "cars", "churches", "church", "snow", "roofs", "road", "clouds", "trees", "minarets", "pagodas"}


@pytest.mark.parametrize(
    "text",
    [  # what is denied is in capitals
        "There isn't a MOSQUE",
        "a MOSQUE is not visible",
        "PALMS are absent",
        "no CARS, CHURCHES or PALMS",
        "no CARS, CHURCHES, nor PALMS, roofs",
        "no CARS, churches. Palms or roofs",
        "neither MINARETS nor PAGODAS. a church",
        "no PALMS, but a church",
        "no PALMS, a church",
        "roofs without SNOW but palms",
        "red roofs (no SNOW) and palms",
        "no PALMS; red roofs",
        "a church, not a MOSQUE, is visible",
        "the CHURCH isn't there, palms are",
        "PALMS cannot be clearly seen. a church",
        "SNOW was never found, a church was",
        "CHURCHES are nowhere",
        "neither ABSENT nor PRESENT, a church",
        "a church that is not OLD",
        "a town devoid of CHURCHES",
        "streets free of CARS",
        "a toll free road",
        "a church rather than a MOSQUE",
        "rather dry, with palms",
        "palms instead of CHURCHES",
        "a mosque as opposed to a CHURCH",
        "not only palms but also a church",
        "not just palms",
        "it lacks TREES",
        "a scarce carpet of clouds",
        "nothing but palms",
        "rather not a CHURCH of STONE",
    ],
)
def test_a_negation_reaches_its_clause_and_no_further(text):
    tokens = tokenize(text)
    marked = {word.lower() for word in re.findall(r"\b[A-Z]{2,}\b", text)}
    assert {tokens[at] for at in denied(tokens)} & (THINGS | marked) == marked


@pytest.mark.parametrize("filler", [1, 39, 40, 41, 400])
def test_a_list_under_a_negation_may_be_of_any_length(filler):
    tokens = tokenize(f"no mosque, church {'quiet ' * filler} or palm")
    assert {"mosque", "church", "palm"} <= {tokens[at] for at in denied(tokens)}


@pytest.mark.parametrize(
    "word", ["no ", "not ", "absent ", "rather ", "no , ", "or ", "no palm, or ", "not visible ", "instead of "]
)
def test_a_hostile_text_costs_no_more_than_its_length(word):
    tokens = tokenize(word * 20_000)
    start = time.process_time()
    denied(tokens)
    assert time.process_time() - start < 2
