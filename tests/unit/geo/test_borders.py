"""Whether positions lie in the countries that are named with them."""

import itertools
import random

import pytest

from globe.errors import InputError
from globe.geo.borders import JUDGED_ROWS, Placed, check_positions, is_outside, misplaced, spread
from globe.geo.gazetteer import gazetteer

EUROPE = [
    ("Paris", 48.86, 2.35, "France"),
    ("Lyon", 45.76, 4.84, "FR"),
    ("Berlin", 52.52, 13.4, "Germany"),
    ("Rome", 41.9, 12.5, "IT"),
]


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "country", "outside"),
    [
        (48.86, 2.35, "France", False),
        (48.86, 2.35, "FR", False),
        (2.35, 48.86, "France", True),  # swapped: the sea off Somalia
        (43.46, 11.88, "France", True),  # Arezzo
        (43.79, 7.60, "France", False),  # Ventimiglia, 7 km from the border
        (-20.88, 55.45, "France", False),  # Réunion is filed under France by some
        (18.4, -66.0, "United States", False),  # Puerto Rico
        (-25.0, 125.0, "Australia", False),  # a desert, hundreds of km from any town
        (72.0, -40.0, "Greenland", False),  # the ice
        (-15.95, -5.7, "Saint Helena", False),  # a small island
        (-37.1, -12.3, "GB", False),
        (36.0, -30.0, "Portugal", False),  # at sea near the Azores
        (-80.0, 0.0, "Antarctica", False),  # of which no place is known
        (48.86, 2.35, "Atlantis", False),
    ],
)
def test_a_position_is_outside_beyond_a_borders_width(lat_deg, lon_deg, country, outside):
    assert is_outside(lat_deg, lon_deg, country) is outside


def test_true_positions_of_cities_of_all_countries_are_hardly_ever_outside():
    places = list(gazetteer())
    by_country: dict[str, list] = {}
    for place in places:
        by_country.setdefault(place.country_code, []).append(place)
    chosen = [
        place
        for code in sorted(by_country)
        for place in random.Random(code).sample(by_country[code], min(4, len(by_country[code])))
    ]
    # 8 km off the town's centre, so that the place itself does not decide alone
    flagged = [place for place in chosen if is_outside(min(90.0, place.lat_deg + 0.07), place.lon_deg, place.country_code)]
    assert len(by_country) > 240
    assert flagged == []


def test_what_is_wrong_says_whether_lat_and_lon_are_swapped():
    assert misplaced(48.86, 2.35, "France") == misplaced(48.86, 2.35, "") == ""
    assert misplaced(2.35, 48.86, "France") == "lat 2.35, lon 48.86 is not in France, but is with lat and lon swapped; swap them"
    assert misplaced(43.46, 11.88, "France") == "lat 43.46, lon 11.88 is not in France; correct the position or the country"


def test_a_table_with_its_columns_swapped_is_refused_within_valid_ranges():
    swapped = [Placed(f"row {number}", lon, lat, country) for number, (_, lat, lon, country) in enumerate(EUROPE, start=2)]
    with pytest.raises(InputError) as caught:
        check_positions("t.csv", swapped)
    assert str(caught.value).startswith(
        "t.csv: 4 of 4 positions are not in the country that their row names; row 2: lat 2.35, lon 48.86"
    )
    assert "swap them" in str(caught.value)


def test_single_mistakes_do_not_stop_a_table():
    rows = [Placed(f"row {number}", lat, lon, country) for number, (_, lat, lon, country) in enumerate(EUROPE * 10, start=2)]
    check_positions("t.csv", [])
    check_positions("t.csv", rows)
    wrong = [Placed(f"wrong {number}", 2.35, 48.86, "France") for number in range(4)]
    check_positions("t.csv", [*rows, *wrong])
    with pytest.raises(InputError, match="5 of 45 positions"):
        check_positions("t.csv", [*rows, *wrong, Placed("one more", 2.35, 48.86, "France")])


@pytest.mark.parametrize("count", [0, 1, JUDGED_ROWS, JUDGED_ROWS + 1, 3 * JUDGED_ROWS, 10 * JUDGED_ROWS + 7])
def test_the_rows_that_are_judged_are_few_and_lie_evenly_over_the_whole_stream(count):
    chosen = [int(row.where) for row in spread(Placed(str(number), 0, 0, "") for number in range(count))]
    assert min(count, JUDGED_ROWS // 2) <= len(chosen) <= JUDGED_ROWS
    steps = {after - before for before, after in itertools.pairwise(chosen)}
    assert len(steps) <= 1
    assert count - (chosen or [0])[-1] <= max(steps, default=1)
