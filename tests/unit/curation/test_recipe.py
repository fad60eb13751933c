import pytest
from pydantic import ValidationError

from globe.curation.recipe import CurationRecipe


def test_the_defaults_are_valid_and_cannot_be_changed_afterwards():
    recipe = CurationRecipe()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.min_score = 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [("min_score", 1.1), ("test_share", 1.0), ("agree_km", 0), ("concurrency", 0), ("retries", -1), ("max_failed_share", 0)],
)
def test_a_threshold_out_of_its_range_is_refused_by_name(name, value):
    with pytest.raises(ValidationError, match=name):
        CurationRecipe(**{name: value})


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="min_scores"):
        CurationRecipe(min_scores=0.5)
