"""Text of unknown origin: nothing of it acts on a terminal or hides, and names of places stay as their scripts write them."""

import json
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from globe.console import to_json
from globe.printable import MOST_MARKS, one_line, printable, spelled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;aGFja2Vk\x07Paris", "Paris"),  # writes the clipboard
        ("\x1b]52;c;aGFja2Vk\x1b\\Paris", "Paris"),
        ("\x9d52;c;aGFja2Vk\x9cParis", "Paris"),
        ("\x1b]52;c;aGFja2Vk Paris", "52;c;aGFja2Vk Paris"),  # without an end; what comes after it is not hidden
        ("\x1b]0;title\x07line", "line"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\ text", "link text"),
        ("\x1bP1$r0m\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\Rome", "Rome"),
        ("\x1b[1;38;5;200mbold\x1b[m \x9b31mred", "bold red"),
        ("\x1b[2K\x1b[1Aup\x1b[?25l", "up"),
        ("\x1b(Bplain\x1b=\x1bc", "plain"),
        ("\x1b\x1b[0m]52;c;aGFja2Vk\x07Paris", "]52;c;aGFja2Vk Paris"),  # taking one out leaves no other
        ("a\x9b", "a"),
        ("a\x00b\x08c\x7fd\x85e\nf\r\ng\th", "a b c d e f g h"),
        ("a\u2028b\u2029c", "a b c"),
        ("photo\u202egpj.exe", "photo gpj.exe"),
        ("\u2066a\u2069\u200eb\u200fc\u061cd", "a b c d"),
        ("Pa\u200bris Ly\u2060on Ro\ufeffme Ber\u00adlin", "Pa ris Ly on Ro me Ber lin"),
        ("Pa\u200dris Lyo\u200cn\u200d", "Pa ris Lyo n"),
        ("\U000e0041Paris\U000e007f", "Paris"),
        ("a\u3164b\u2800c\u115fd\u034fe", "a b c d e"),
        ("lone \udc80", "lone \\udc80"),
        ("::error::x", ": :error::x"),
        ("  ::set-output name=x::y", ": :set-output name=x::y"),
        ("x ##[error]y", "x ## [error]y"),
        ("::::", ": :::"),
    ],
)
def test_nothing_acts_and_the_rest_can_be_read(text, shown):
    assert one_line(text) == shown


@pytest.mark.parametrize(
    "name",
    ["São Paulo", "Việt Nam", "Đà Nẵng", "東京", "葛\U000e0100城市", "Санкт-Петербург", "Αθήνα", "القاهرة",
     "تهران", "خانه\u200cها",
     "می\u200cدان", "ירושלים", "שָׁלוֹם", "ශ්\u200dරී ලංකාව", "র\u200d্যাব", "ক্\u200dষ", "അവന്\u200d", "क्\u200cष", "กรุงเทพมหานคร", "ភ្នំពេញ",
     "བོད་རྗེས", "ᠮᠣᠩᠭᠣᠯ", "አዲስ አበባ", "서울", "မန္တလေး", "St. John’s", "Cote d'Ivoire", "Łódź", "e\u0301\u0323t", "❤\ufe0f", "👍🏽"],
)  # fmt: skip
def test_a_places_name_stays_as_it_is(name):
    assert printable(name) == name
    assert json.loads(to_json(name)) == name
    assert name in to_json(name)


def test_marks_do_not_cover_the_lines_around():
    shown = printable("Z" + "\u0301" * 30 + "algo")
    assert shown == "Z" + "\u0301" * MOST_MARKS + " " * 25 + "algo"


def test_a_line_may_be_cut():
    assert [one_line("Sri Lanka", 9), one_line("Sri Lanka", 8)] == ["Sri Lanka", "Sri Lan…"]


TEXTS = st.text(
    st.one_of(
        st.characters(), st.sampled_from("\x1b\x9b\x9d]52;c\x07\\[m:#\u200c\u200d\u0301\ufe0f\u094d\u0627\u202e\ud800\n\t ")
    )
)


@given(TEXTS)
@example("a\u0301\u0301\u0301\u0301\u0301\u0301\u0301b")
def test_what_is_shown_is_harmless_and_shown_again_it_is_the_same(text):
    shown = printable(text)
    assert printable(shown) == shown
    for character in shown:
        harmful = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\u200c\u200d"
        assert not harmful, ascii(character)
    assert not re.match(r"\s*::", shown)
    assert "##[" not in shown


@given(TEXTS)
def test_json_keeps_the_value_and_is_harmless_as_it_stands(text):
    told = to_json({text: [text]})
    assert json.loads(told) == {text: [text]}
    assert printable(told) == told


def test_ascii_takes_no_time():
    text = "a" * 100
    assert spelled(text, str.upper) is text
