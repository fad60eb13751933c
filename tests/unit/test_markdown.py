"""Markdown for people: a text of unknown origin stays text, and a table is one, in KFP's UI as elsewhere."""

import pytest
from kfp_markdown import RENDERERS, is_installed, shown

from globe.markdown import BAR_LETTERS, bar, escape, is_plain, table
from globe.printable import one_line

HOSTILE = (
    "a\n# title | [x](javascript:alert(1)) <img src=x> **b** `c` ~~d~~ _e_ ![p](http://h/p.png) &amp; http://h.example/x "
    "https://h.example www.h.example @team cc @team $x$ #12 torch==2 and vllm==3 \x1b[2J \x9b31m \u202e 1 < 2 & 3 > 2 \\| done"
)


def test_a_text_stays_in_its_line_and_makes_no_markup():
    text = escape(HOSTILE)
    assert text.replace("\u2060", "").isprintable()
    assert "<img" not in text
    assert "\\[x\\](" in text
    assert "\\|" in text
    assert "http://" not in text
    assert is_plain(text)


def test_github_tells_nobody_and_links_nothing():
    shown = escape("@team, cc @a-b/c #12 x#13 www.h.example model@host C# a@b")
    assert shown.replace("\\", "") == "@\u2060team, cc @\u2060a-b/c #\u206012 x#\u206013 www.h.example model@host C# a@b"
    assert "www.h" not in shown


@pytest.mark.parametrize(
    "page",
    ["![x](//h/p.png)", "<img src=x>", "a [b](c)", "https://h.example", "www.h.example", "cc @team", r"cc \@team", "see #12",
     r"\#12", "#12",
     r"\\[a](b)", "`c`", "&#60;img&#62;", "$x$", "a\x1b[2J", "a\u202eb"],
)  # fmt: skip
def test_a_page_that_acts_is_not_taken_for_ours(page):
    assert not is_plain(f"## Title\n\n| a | b |\n|---|---|\n| {page} | x |")
    assert not is_plain(f"**ok**\n\n{page}")


def test_a_page_of_ours_is():
    assert is_plain(
        f"## {escape(HOSTILE)}\n\n{table(('', 'x:'), [(escape(HOSTILE), bar(0.5))])}\n\n- **no**: {escape(HOSTILE)}\n"
    )


@pytest.mark.skipif(not is_installed(), reason="KFP's renderers are not installed (tests/unit/shared/kfp_markdown.py)")
@pytest.mark.parametrize("renderer", RENDERERS)
def test_kfps_ui_shows_a_text_of_unknown_origin_as_it_is(renderer):
    seen = shown(table(("", "said"), [("x", escape(HOSTILE))]), renderer)
    assert not {"img", "a", "strong", "em", "del", "code", "h1", "mark"} & set(seen.tags)
    assert [[cell.replace("\u2060", "") for cell in row] for row in seen.rows] == [["", "said"], ["x", one_line(HOSTILE)]]


@pytest.mark.parametrize("text", ["- 3 points", "+ 3 points", "10. Kenya", "7) Kenya", "> 3 points", "--- x", "===="])
def test_what_would_begin_a_list_does_not(text):
    assert escape(text).replace("\\", "") == text != escape(text)
    assert escape(f"a {text}").replace("\\", "") == f"a {text}"
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
