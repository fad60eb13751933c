import re
from pathlib import Path

import pytest

import globe.report

TEMPLATES = Path(globe.report.__file__).parent / "templates"
CSS = (TEMPLATES / "style.css").read_text(encoding="utf-8")
DARK = CSS[CSS.index("(prefers-color-scheme: dark)") :]
TEXT = [
    ("ink", "paper"), ("ink", "surface"), ("soft", "paper"), ("soft", "surface"), ("soft", "faint"), ("accent", "paper"),
    ("good", "good-wash"), ("poor", "poor-wash"), ("none", "none-wash"), ("good", "surface"), ("poor", "surface"),
    ("good", "paper"), ("poor", "paper"), ("ink", "good-wash"), ("ink", "poor-wash"), ("band-ink", "band"), ("band-soft", "band"),
    ("ink", "none-wash"), ("accent", "surface"),
]  # fmt: skip
MARKS = [(f"s{i}", "surface") for i in range(5)] + [("b0", "sea"), ("b1", "sea"), ("b2", "sea"), ("b3", "sea"), ("good", "sea")]


def colours(theme: str) -> dict[str, str]:
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS[: CSS.index("@media")]))
    if theme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", DARK[: DARK.index("}")]))
    return found


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(theme: str) -> None:
    found = colours(theme)
    poor = {pair: round(contrast(found[pair[0]], found[pair[1]]), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_marks_of_charts_and_map_can_be_seen_in_both_themes(theme: str) -> None:
    found = colours(theme)
    poor = {pair: round(contrast(found[pair[0]], found[pair[1]]), 2) for pair in MARKS}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 3} == {}


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.css")))
def test_a_style_sheet_loads_nothing(name: str) -> None:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
