"""Every picture is in one slice of each division."""

import pytest

from globe.figures.slices import CITY_SIZES, MOST_SCENES, slices
from globe.geo.verdict import Truth

PARIS = Truth("France", "Paris", 48.85, 2.35)
NAIROBI = Truth("Kenya", "Nairobi", -1.28, 36.82)
GIVERNY = Truth("France", "Giverny", 49.08, 1.53)
NOWHERE = Truth("", "", 0.0, 0.0)


def which(*truths, told=None):
    """The numbers of the pictures in each slice, in the slices' order."""
    found = {}
    for title, names in slices(truths, told or [{}] * len(truths)):
        groups = names.groupby(names, observed=True).indices
        found[title] = {name: groups[name].tolist() for name in names.cat.categories if name in groups}
    return found


def test_pictures_are_divided_by_continent_and_city_size_in_a_fixed_order():
    found = which(PARIS, NOWHERE, GIVERNY, NAIROBI, PARIS)
    assert found == {
        "continent": {"Africa": [3], "Europe": [0, 2, 4], "unknown": [1]},
        "country": {"France": [0, 2, 4], "Kenya": [3], "unknown": [1]},
        "city_size": {"1 million and more": [0, 3, 4], "less than 10,000": [2], "unknown": [1]},
    }
    assert list(found["continent"]) == ["Africa", "Europe", "unknown"]
    assert list(found["city_size"]) == ["1 million and more", "less than 10,000", "unknown"]


def test_a_country_is_one_slice_whatever_it_is_called_and_the_most_frequent_comes_first():
    truths = [
        NAIROBI,
        PARIS,
        PARIS._replace(country="FR"),
        PARIS._replace(country="Frankreich"),
        NOWHERE,
        NOWHERE,
        NOWHERE,
        NOWHERE,
    ]
    assert list(which(*truths)["country"].items()) == [("France", [1, 2, 3]), ("Kenya", [0]), ("unknown", [4, 5, 6, 7])]


@pytest.mark.parametrize(
    "truth", [PARIS._replace(city=""), PARIS._replace(city="Nowhere at All"), NOWHERE._replace(city="Paris")]
)
def test_a_city_that_is_not_known_has_no_size(truth):
    assert which(truth)["city_size"] == {"unknown": [0]}


def test_sizes_are_tried_from_the_largest_and_every_city_has_one():
    least = list(CITY_SIZES.values())
    assert least == sorted(least, reverse=True)
    assert least[-1] == 0


def test_localizability_and_scene_divide_only_where_they_are_known_of_some():
    told = [{"localizable": True, "scene": "beach"}, {"localizable": None}, {"localizable": False, "scene": "beach\x1b\n"}]
    found = which(PARIS, PARIS, PARIS, told=told)
    assert found["localizable"] == {"yes": [0], "no": [2], "unknown": [1]}
    assert found["scene"] == {"beach": [0, 2], "unknown": [1]}
    assert which(PARIS, told=[{"localizable": None, "scene": ""}]).keys() == {"continent", "country", "city_size"}


def test_of_very_many_scenes_the_rare_ones_are_taken_together():
    told = [{"scene": f"scene {i % (MOST_SCENES + 20)}"} for i in range(2 * MOST_SCENES)]
    scenes = which(*[PARIS] * len(told), told=told)["scene"]
    assert len(scenes) == MOST_SCENES + 1
    assert sum(map(len, scenes.values())) == len(told)
