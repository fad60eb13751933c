"""No text of a program moves a cursor, changes a colour or starts a line where we show it."""

import pytest

from pipelines.local.plain_text import one_line, plain


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("Task \x1b[96m'sft'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m", "Task 'sft' finished with status FAILURE"),
        ("\x1b[1;38;5;200mbold\x1b[m", "bold"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\ text", "link text"),
        ("\x1b]0;title\x07line", "line"),
        ("\x1b[2K\x1b[1Aup\x1b[?25l", "up"),
        ("\x1b(Bplain\x1b=", "plain"),
        (" 10%|#   |\r 50%|##  |\r100%|####|\r\n", "100%|####|"),
        ("    indented\tby a tab", "    indented by a tab"),
        ("größe 東京", "größe 東京"),
        ("\x07bell\x00", " bell "),
    ],
)
def test_a_line_is_shown_as_a_terminal_would_leave_it(printed, shown):
    assert plain(printed) == shown


def test_a_text_becomes_one_line():
    assert one_line("\x1b[31mfirst\x1b[0m\n  second\r\nthird") == "first second third"
