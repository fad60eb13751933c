import pytest

from globe.rewards.length import score


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("Red earth and palm trees next to green roofs.", 1.0),
        ("one two three four", 1.0),
        ("one, two. three!", 0.75),
        ("Kenya", 0.25),
        ("...", 0.0),
        ("", 0.0),
        ("word " * 400, 1.0),
        ("word " * 600, 0.5),
        ("word " * 2000, 0.0),
        ("a" * 50_000, 0.0),
    ],
)
def test_length_asks_for_some_words_and_not_for_a_book(reasoning: str, expected: float) -> None:
    assert score(f"<think>{reasoning}</think>").score == pytest.approx(expected)
