"""Markdown for people: a text of unknown origin stays text, and a table is one, in KFP's UI as elsewhere."""

import pytest
from kfp_markdown import RENDERERS, is_installed, shown

from globe.markdown import BAR_LETTERS, bar, escape, table

HOSTILE = (
    "a\n# title | [x](javascript:alert(1)) <img src=x> **b** `c` ~~d~~ _e_ ![p](http://h/p.png) &amp; http://h.example/x "
    "https://h.example torch==2 and vllm==3 \x1b[2J \x9b31m \u202e 1 < 2 & 3 > 2 \\| done"
)


def test_a_text_stays_in_its_line_and_makes_no_markup():
    text = escape(HOSTILE)
    assert text.isprintable()
    assert "<img" not in text
    assert "\\[x\\](" in text
    assert "\\|" in text
    assert "http://" not in text


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_a_text_of_unknown_origin_as_it_is(renderer):
    seen = shown(table(("", "said"), [("x", escape(HOSTILE))]), renderer)
    assert not {"img", "a", "strong", "em", "del", "code", "h1", "mark"} & set(seen.tags)
    plain = " ".join("".join(c if c.isprintable() else " " for c in HOSTILE).split())
    assert seen.rows == [["", "said"], ["x", plain]]


@pytest.mark.parametrize("text", ["- 3 points", "+ 3 points", "10. Kenya", "7) Kenya"])
def test_what_would_begin_a_list_does_not(text):
    assert escape(text).replace("\\", "") == text != escape(text)
    assert escape(f"a {text}") == f"a {text}"
    if is_installed():
        assert [shown(f"- {escape(text)}", renderer).text for renderer in RENDERERS] == [text, text]


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_a_table_with_empty_heads_and_cells(renderer):
    text = table(("stage", "", "GPUs:"), [("SFT", "run", "8"), ("", "", ""), ("Gate", bar(0.5), "")])
    assert shown(text, renderer).rows == [["stage", "", "GPUs"], ["SFT", "run", "8"], ["", "", ""], ["Gate", "█" * 10, ""]]


def test_a_bar_has_a_letter_for_each_twentieth_and_shows_what_is_there_at_all():
    assert [len(bar(number / BAR_LETTERS)) for number in range(BAR_LETTERS + 1)] == [*range(BAR_LETTERS + 1)]
    assert bar(0.001) == "▏"
    assert bar(0.0) == ""
    assert bar(7.0) == bar(1.0)
