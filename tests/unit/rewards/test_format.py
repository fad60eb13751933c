import pytest

from globe.rewards.format import score

REASONING = "Red earth and palm trees next to green roofs point to East Africa."
WELL_FORMED = f"<think>{REASONING}</think><answer>country: Uganda\ncity: Kampala</answer>"


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (WELL_FORMED, 1.0),
        (f"\n  {WELL_FORMED}\n\n", 1.0),
        (WELL_FORMED.replace("</think>", "</think>\n\n"), 1.0),
        (WELL_FORMED.replace("country", "\ncountry").replace("</answer>", "\n</answer>"), 1.0),
        ("<think></think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think> \n</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>\u200b</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>...</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>... 石</think><answer>country: A\ncity: B</answer>", 1.0),
        ("<think>a</think><answer></answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity:</answer>", 0.0),
        ("<think>a</think>and<answer>country: A\ncity: B</answer>", 0.0),
        ("Well. <think>a</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity: B</answer> Done.", 0.0),
        ("<think>a</think><answer>country: A\ncity: B", 0.0),
        ("<answer>country: A\ncity: B</answer><think>a</think>", 0.0),
        ("<think>a<think>b</think><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a</think><answer>country: A\ncity: B</answer><answer>country: A\ncity: B</answer>", 0.0),
        ("<think>a < b</think><answer>country: A\ncity: B</answer>", 1.0),
        (WELL_FORMED.replace("<think>", "<THINK>"), 0.0),
        (WELL_FORMED.replace("Kampala", "x" * 500), 0.0),
        ("<think>a</think><answer>country: A\ncountry: B\ncity: C</answer>", 0.0),
        ("", 0.0),
    ],
)
def test_format_is_strict_but_blank_space_around_is_no_fault(completion: str, expected: float) -> None:
    assert score(completion).score == expected


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        ("<think>a</think><answer>country: A</answer>", "missing: city"),
        (f"Well. {WELL_FORMED}", "text before <think>"),
        (f"{WELL_FORMED}<think>", "<think> must be there exactly once"),
        ("<think>...</think><answer>country: A\ncity: B</answer>", "no letter or digit"),
        (None, "NoneType"),
    ],
)
def test_the_reason_says_what_to_mend(completion: str, reason: str) -> None:
    assert reason in score(completion).reason
