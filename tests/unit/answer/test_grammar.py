"""A value loses the marks around it and keeps those that belong to the name."""

import pytest

from globe.answer.grammar import KEY, TAG, clean, unmarked


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("Paris", "Paris"), ("  New \t York ", "New York"), ("**Paris**,", "Paris"), ("_`Paris`_", "Paris"), ('"Paris"', "Paris"),
        ("“Paris”", "Paris"), ("«Paris»", "Paris"), ("「東京」", "東京"), ("Paris}", "Paris"), ("(Paris", "Paris"),
        ("Paris (Texas)", "Paris (Texas)"), ("Washington, D.C.", "Washington, D.C."), ("'s-Hertogenbosch", "'s-Hertogenbosch"),
        ("\u200bParis\ufeff", "Paris"), ("...", ""), ("**", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_value_is_cleaned(value: str, cleaned: str) -> None:
    assert clean(value) == cleaned
    assert clean(cleaned) == cleaned


def test_html_and_links_are_taken_off_and_elements_become_keys() -> None:
    assert unmarked("<b>Paris</b><br>x") == "Paris\nx"
    assert unmarked("[Paris](https://x.example/a)") == "Paris"
    assert "city: Paris" in unmarked("<city>Paris</city>")
    assert unmarked("city: Paris</ans") == "city: Paris"


def test_tags_and_keys_are_found_in_any_case_and_language() -> None:
    assert [tag[0] for tag in TAG.finditer("<THINK>a</ think ><answers>")] == ["<THINK>", "</ think >"]
    found = [key.lastgroup for key in KEY.finditer("- **País**: x\nVille : y\nState: z, подземный город: w, capacity: v")]
    assert found == ["country", "city", "region", "city"]
