import pytest
from pydantic import ValidationError

from globe.curation.recipe import RULES, CurationRecipe, Negatives, Sets
from globe.errors import InputError
from globe.recipes.load import load_recipe


def test_the_defaults_are_valid_and_cannot_be_changed_afterwards():
    recipe = CurationRecipe()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.min_score = 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("min_score", 1.1), ("test_share", 1.0), ("agree_km", 0), ("concurrency", 0), ("retries", -1), ("max_failed_share", 0)],
        *[("unseen_place_share", 1.1), ("max_test_rows", 0), ("near_duplicate_bits", 17), ("near_duplicate_bits", -1)],
        *[("same_photographer_km", 0), ("same_photographer_km", 20_101), ("near_test_km", 0), ("near_test_km", float("nan"))],
    ],
)
def test_a_threshold_out_of_its_range_is_refused_by_name(name, value):
    with pytest.raises(ValidationError, match=name):
        CurationRecipe(**{name: value})


def test_one_row_is_too_few_for_a_reward_model_that_is_shown_as_many_yes_as_no():
    with pytest.raises(InputError, match=r"--set max_reward_model_rows: a balanced set .* give 2 or more, or 0 for all"):
        load_recipe(CurationRecipe, "curation", "mp16", {"max_reward_model_rows": 1, "balance_verdicts": True})
    assert CurationRecipe(max_reward_model_rows=1).max_reward_model_rows == 1


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="min_scores"):
        CurationRecipe(min_scores=0.5)


def test_what_the_sets_hold_is_as_ever_unless_a_recipe_says_otherwise():
    demo = load_recipe(CurationRecipe, "curation", "demo")
    assert Sets(**demo.model_dump(include=set(Sets.model_fields))) == Sets()
    other = load_recipe(CurationRecipe, "curation", "demo", {"negatives.other_picture": 0.2, "max_sft_rows": 9, "pool": "kept"})
    assert (other.negatives, other.max_sft_rows, other.pool) == (Negatives(other_picture=0.2), 9, "kept")
    with pytest.raises(InputError, match=r"negatives\.cues_removed: "):
        load_recipe(CurationRecipe, "curation", "demo", {"negatives.cues_removed": 1.5})


def test_rules_are_applied_in_the_papers_order_however_they_are_named():
    assert CurationRecipe().rules == list(RULES)
    assert CurationRecipe(rules=["truth", "consensus", "localizable"]).rules == ["localizable", "consensus", "truth"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["truths"], "Input should be 'localizable'"),
        (["truth", "truth"], "truth is named twice"),
        (["consensus"], "consensus is about pictures that can be located; name localizable too"),
        (["score", "truth"], "score is about pictures that can be located"),
    ],
)
def test_rules_that_do_not_exist_or_cannot_be_applied_are_refused(rules, message):
    with pytest.raises(InputError, match=message) as caught:
        load_recipe(CurationRecipe, "curation", "mp16", {"rules": rules})
    assert str(caught.value).startswith("--set rules:")


def test_the_papers_ablation_differs_from_the_full_curation_in_its_rules_alone():
    full = load_recipe(CurationRecipe, "curation", "mp16")
    assert full.rules == list(RULES)
    for name, rules in (("mp16-single-source", ["localizable", "score", "truth"]), ("mp16-random", [])):
        assert load_recipe(CurationRecipe, "curation", name) == full.model_copy(update={"rules": rules})


def test_the_demos_rules_are_the_defaults():
    demo, default = load_recipe(CurationRecipe, "curation", "demo"), CurationRecipe()
    rules = ("rules", "min_score", "agree_km", "min_confidence", "min_alignment", "min_shared_cues", "min_entity_support")
    assert {name: getattr(demo, name) for name in rules} == {name: getattr(default, name) for name in rules}
