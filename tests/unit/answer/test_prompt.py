"""The prompt: short, and what a prompt of the user's own must not hold."""

import pytest

from globe.answer.prompt import PROMPT, usable_prompt


def test_the_prompt_is_short_and_its_own_example_is_no_place() -> None:
    assert len(PROMPT.split()) <= 60
    assert "<image>" not in PROMPT


def test_a_prompt_of_the_users_own_is_taken_without_the_blank_space_around_it() -> None:
    assert usable_prompt("\nWhere?\r\n  country: NAME\r\n\r\n") == "Where?\n  country: NAME"
    assert usable_prompt(PROMPT) == PROMPT
    assert usable_prompt(" \n") == ""


@pytest.mark.parametrize("text", ["<image>Where?", "Where?<|im_end|>", "Where?\0", "<|vision_start|>", "why " * 10_000])
def test_a_prompt_that_would_be_read_as_more_than_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="prompt"):
        usable_prompt(text)
