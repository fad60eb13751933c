import pytest

from globe.rewards.repetition import score

REASONING = "Red earth and palm trees next to green roofs point to East Africa."
DIFFERENT = " ".join(f"word{i}" for i in range(100))


def of(reasoning: str) -> float:
    return score(f"<think>{reasoning}</think>").score


def test_loops_lose_the_reward_and_ordinary_text_keeps_it() -> None:
    assert of(REASONING) == 1.0
    assert of("the red roofs are here " * 40) == 0.0
    assert 0.0 <= of(f"{REASONING} {REASONING}") < 0.5
    assert of("palm " * 10) == 0.0
    assert of("") == 0.0


def test_a_script_without_blank_space_is_judged_by_its_characters() -> None:
    assert of("紅色屋頂" * 60) == 0.0
    assert of("紅色屋頂與棕櫚樹並列於白色教堂旁邊的街道上可見左側行駛汽車。") == 1.0


def test_the_reward_falls_with_the_share_that_is_repeated() -> None:
    def repeating(words: int) -> float:
        return of(f"{DIFFERENT} {' '.join(DIFFERENT.split()[:words])}")

    assert [repeating(words) for words in (0, 10, 18)] == [1.0, 1.0, 1.0]
    assert 1.0 > repeating(30) > repeating(60) > repeating(80) > 0.0
    assert repeating(80) == pytest.approx((0.5 - 78 / 178) / 0.35)


def test_punctuation_is_no_word() -> None:
    assert of(DIFFERENT.replace(" ", ", ")) == of(DIFFERENT)
