"""Simulated teachers err at the rates that they are given."""

import json
from collections.abc import Callable

import pytest
from geopy.distance import geodesic

from globe.demo.places import all_cities
from globe.demo.teachers import VLM_MODELS, VlmAnswer, coordinates, times_out, vlm_answer, vlm_content
from globe.demo.truth import ErrorRates, Truth

NO_ERRORS = ErrorRates(
    famous_city=(0, 0, 0),
    blind_spot=0,
    wrong_country=0,
    invented_cue=0,
    wrong_localizability=0,
    malformed=0,
    timeout=0,
    wrong_coordinates=0,
)
RATES = ErrorRates()
N = 3000


def _truth(rank: int = 0, localizable: bool = True, number: int = 0) -> Truth:
    city = [city for city in all_cities() if city.fame_rank == rank][number % 14]
    return Truth(
        localizable=localizable,
        country=city.country,
        city=city.name,
        lat_deg=city.lat_deg,
        lon_deg=city.lon_deg,
        fame_rank=rank,
        cues=list(city.cues) if localizable else ["fog"],
        pixels="",
    )


def _share(rank: int, localizable: bool, wrong: Callable[[VlmAnswer, Truth], bool], model: str = VLM_MODELS[0]) -> float:
    count = 0
    for number in range(N):
        truth = _truth(rank, localizable, number)
        count += wrong(vlm_answer(model, str(number), truth, RATES, seed=1), truth)
    return count / N


def test_a_teacher_that_never_errs_says_the_truth() -> None:
    for number in range(42):
        truth = _truth(number % 3, number=number)
        said = vlm_answer("toy-vlm-a", str(number), truth, NO_ERRORS, seed=0)
        assert (said.localizable, said.country, said.city) == (True, truth.country, truth.city)
        assert said.reasoning == ", ".join(truth.cues)
        assert list(said.elements) == truth.cues
        assert said.score >= 0.6
        position = coordinates(str(number), truth, NO_ERRORS, seed=0)
        assert _km(position, truth) < 80
        assert position["confidence"] >= 0.6


def test_a_teacher_that_never_errs_finds_nothing_in_an_unlocatable_picture() -> None:
    said = vlm_answer("toy-vlm-a", "1", _truth(localizable=False), NO_ERRORS, seed=0)
    assert (said.localizable, said.country, said.city) == (False, "", "")
    assert said.score < 0.3
    assert said.reasoning
    assert coordinates("1", _truth(localizable=False), NO_ERRORS, seed=0)["confidence"] <= 0.3


def test_answers_are_a_pure_function_of_teacher_picture_and_seed() -> None:
    truth = _truth(2)
    assert [vlm_content("toy-vlm-a", str(n), truth, RATES, 5) for n in range(50)] == [
        vlm_content("toy-vlm-a", str(n), truth, RATES, 5) for n in range(50)
    ]
    assert [vlm_content("toy-vlm-a", str(n), truth, RATES, 5) for n in range(50)] != [
        vlm_content("toy-vlm-a", str(n), truth, RATES, 6) for n in range(50)
    ]


@pytest.mark.parametrize(("rank", "rate"), [(0, 0.0), (1, 0.35), (2, 0.75)])
def test_lesser_cities_are_taken_for_the_famous_one_at_their_rate(rank: int, rate: float) -> None:
    def famous(said: VlmAnswer, truth: Truth) -> bool:
        return said.localizable and said.country == truth.country and said.city != truth.city

    # Other errors come first: wrong localizability and wrong country.
    assert _share(rank, True, famous) == pytest.approx(rate * 0.96 * 0.95, abs=0.03)


def test_wrong_countries_invented_cues_and_wrong_localizability_come_at_their_rates() -> None:
    assert _share(0, True, lambda said, truth: not said.localizable) == pytest.approx(0.04, abs=0.012)
    assert _share(0, False, lambda said, truth: said.localizable) == pytest.approx(0.04, abs=0.012)
    assert _share(0, True, lambda said, truth: said.localizable and said.country != truth.country) == pytest.approx(
        0.05 * 0.96, abs=0.012
    )
    invented = _share(0, True, lambda said, t: said.localizable and not set(said.reasoning.split(", ")) <= set(t.cues))
    assert invented == pytest.approx(0.08 * 0.96, abs=0.015)


def test_a_teacher_sees_every_true_cue_also_when_it_invents_one() -> None:
    for number in range(300):
        truth = _truth(number=number)
        said = vlm_answer("toy-vlm-b", str(number), truth, RATES, seed=2)
        assert set(truth.cues) <= set(said.elements)
        if said.localizable:
            assert set(said.reasoning.split(", ")) <= set(said.elements)


def test_the_two_vlms_err_independently_given_the_city() -> None:
    both = one = 0
    for number in range(N):
        truth = _truth(1, number=number)
        wrong = [vlm_answer(model, str(number), truth, RATES, seed=3).city != truth.city for model in VLM_MODELS]
        one += wrong[0]
        both += all(wrong)
    assert both / N == pytest.approx((one / N) ** 2, abs=0.03)


def _at_dusk(rank: int, number: int) -> Truth:
    return _truth(rank, number=number).model_copy(update={"dusk": True})


def test_both_vlms_take_the_same_lesser_cities_at_dusk_for_the_best_known_one_at_the_blind_spots_rate() -> None:
    rates = NO_ERRORS.model_copy(update={"blind_spot": 0.6})
    both = one = 0
    for number in range(N):
        truth = _at_dusk(1 + number % 2, number)
        said = [vlm_answer(model, str(number), truth, rates, seed=4) for model in VLM_MODELS]
        assert {answer.country for answer in said} == {truth.country}
        best = next(city.name for city in all_cities() if city.country == truth.country and city.fame_rank == 0)
        wrong = [answer.city == best for answer in said]
        both, one = both + all(wrong), one + any(wrong)
    assert both == one
    assert both / N == pytest.approx(0.6, abs=0.03)


def test_the_blind_spot_spares_the_day_the_best_known_cities_and_the_coordinate_model() -> None:
    blind = NO_ERRORS.model_copy(update={"blind_spot": 1.0})
    for number in range(200):
        for truth in (_truth(1 + number % 2, number=number), _at_dusk(0, number)):
            assert vlm_answer("toy-vlm-a", str(number), truth, blind, seed=0).city == truth.city
        dusk = _at_dusk(1 + number % 2, number)
        assert coordinates(str(number), dusk, blind, seed=0) == coordinates(str(number), dusk, NO_ERRORS, seed=0)


def test_malformed_replies_come_at_their_rate_and_never_hold_the_asked_object() -> None:
    rates = ErrorRates(malformed=0.5)
    bad = 0
    for number in range(1000):
        content = vlm_content("toy-vlm-a", str(number), _truth(number=number), rates, seed=0)
        try:
            fields = json.loads(content)
            bad += not {"localizable", "reasoning"} <= set(fields) or not isinstance(fields["score"], float)
        except ValueError:
            bad += 1
    assert bad / 1000 == pytest.approx(0.5, abs=0.05)


def test_a_timeout_strikes_attempts_not_pictures() -> None:
    rates = ErrorRates(timeout=0.5)
    first = [times_out("toy-vlm-a", str(n), 0, rates, 0) for n in range(400)]
    second = [times_out("toy-vlm-a", str(n), 1, rates, 0) for n in range(400)]
    assert sum(first) / 400 == pytest.approx(0.5, abs=0.1)
    assert first != second


def test_positions_scatter_around_the_city_and_are_elsewhere_at_their_rate() -> None:
    distances = sorted(_km(coordinates(str(n), truth := _truth(1, number=n), RATES, 0), truth) for n in range(N))
    assert sum(km > 100 for km in distances) / N == pytest.approx(0.05, abs=0.012)
    # The median of a Rayleigh distribution is sigma * sqrt(2 ln 2).
    assert distances[int(N * 0.95 / 2)] == pytest.approx(15 * 1.177, rel=0.08)


def _km(position: dict[str, float], truth: Truth) -> float:
    return float(geodesic((position["lat_deg"], position["lon_deg"]), (truth.lat_deg, truth.lon_deg)).km)
