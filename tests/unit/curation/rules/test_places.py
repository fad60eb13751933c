import pytest
from place_names import COUNTRY_ALONE, RIGHT, WRONG

from globe.curation.rules.places import is_corroborated, is_true_place
from globe.curation.teachers.replies import CoordinateReply, VlmReply
from globe.geo.verdict import Truth

NAPLES = Truth("Italy", "Naples", 40.8522, 14.2681)
NEAR = CoordinateReply(lat_deg=40.9, lon_deg=14.3, confidence=0.9)
FAR = CoordinateReply(lat_deg=41.9, lon_deg=12.5, confidence=0.9)


def vlm(country="Italy", city="Naples"):
    return VlmReply(localizable=True, score=0.9, country=country, city=city, reasoning="")


def test_a_truth_without_city_is_met_by_distance():
    assert is_true_place("Italy", "Naples", Truth("Italy", "", 40.85, 14.27), 50)
    assert not is_true_place("Italy", "Rome", Truth("Italy", "", 40.85, 14.27), 50)


def test_a_place_close_to_the_truth_counts_and_one_beyond_the_limit_does_not():
    assert is_true_place("Italy", "Pozzuoli", NAPLES, 50)
    assert not is_true_place("Italy", "Pozzuoli", NAPLES, 5)


@pytest.mark.parametrize(("truth", "country", "city"), RIGHT)
def test_a_place_is_true_under_any_of_its_names(truth, country, city):
    assert is_true_place(country, city, truth, 0)


@pytest.mark.parametrize(("truth", "country", "city"), [*COUNTRY_ALONE, *WRONG])
def test_another_city_is_not_true_nor_is_one_across_a_border_however_near(truth, country, city):
    assert not is_true_place(country, city, truth, 50)


@pytest.mark.parametrize(
    ("others", "positions", "expected"),
    [
        ([vlm(city="Rome")], [NEAR], True),
        ([vlm(city="Rome")], [FAR], False),
        ([vlm(city="Rome")], [FAR, NEAR], True),
        ([vlm(city="Rome"), vlm(city="Napoli")], [], True),
        ([], [], False),
        ([vlm(city="Pozzuoli")], [], True),
        ([vlm(country="France")], [], False),
    ],
)
def test_a_true_place_needs_another_witness(others, positions, expected):
    assert is_corroborated(vlm(), NAPLES, others, positions, 50) is expected


@pytest.mark.parametrize(
    ("others", "positions", "expected"),
    [
        ([vlm(city="Roma")], [], True),
        ([vlm()], [], False),
        ([], [FAR], True),
        ([], [NEAR], False),
    ],
)
def test_whether_others_agree_has_nothing_to_do_with_the_truth(others, positions, expected):
    assert is_corroborated(vlm(city="Rome"), NAPLES, others, positions, 50) is expected


def test_a_correct_name_that_no_gazetteer_has_is_taken_to_be_where_the_picture_was_taken():
    truth = Truth("Italy", "Borgo Senza Nome", *NAPLES.position_deg)
    assert is_corroborated(vlm(city="borgo senza nome"), truth, [], [NEAR], 50)
    assert not is_corroborated(vlm(city="Borgo Con Nome"), truth, [], [NEAR], 50)


def test_two_teachers_that_name_no_city_agree_on_none():
    assert not is_corroborated(vlm(city=""), NAPLES, [vlm(city="")], [NEAR], 50)
