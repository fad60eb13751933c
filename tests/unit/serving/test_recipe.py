"""A serving recipe: what cannot be served with is refused when it is read."""

import pytest

from globe.errors import InputError
from globe.recipes.load import load_recipe
from globe.serving.recipe import ServingRecipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gpu_memory_utilization", 1.5),
        ("gpu_memory_utilization", 0),
        ("kv_cache_bytes", -1),
        ("tensor_parallel_size", 0),
        ("dtype", "float8"),
        ("startup_timeout_s", 0),
        ("max_tokens", 10),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(field, value):
    with pytest.raises(InputError, match=field):
        load_recipe(ServingRecipe, "serving", "gpu", {field: value})


def test_pictures_are_served_as_large_as_they_are_trained_on_unless_a_recipe_says_otherwise():
    assert ServingRecipe().max_pixels == load_recipe(ServingRecipe, "serving", "gpu").max_pixels
