"""What the page says when there is no answer, and that a model's text is only ever text."""

import json
import re
import time

import numpy as np
import pytest
from page_driver import TWO_FRAMES, answered, foreign, opened, press, shown, text
from PIL import Image
from place_engine import PORTO, place_engine, running_gateway

from globe.answer.render import render
from globe.gateway.keyfile import make_key

HOSTILE = (
    "</blockquote></details><script>document.title='attacked'</script><img src=x onerror=\"document.title='attacked'\">"
    "<svg onload=document.title='attacked'> <style>*{display:none}</style> javascript:alert(1) {{7*7}} ${7*7} "
    "\u202egpj.exe\u2066\u2028\u0007\x1b[2J \ufeff " + "W" * 900
)
UNSEEN = "[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f\ufeff\u2028]"


def test_a_server_that_is_not_there_is_told_and_can_be_asked_again(tab, checkpoint, photo):
    with place_engine() as script:
        with running_gateway(engine_url=script.url, checkpoint=checkpoint) as url:
            opened(tab, url)
        tab.choose("#file", photo)
        tab.wait("document.querySelector('#trouble').checkVisibility()")
        assert "The server cannot be reached" in text(tab, "#trouble")
        assert text(tab, "#place") == "The guess will appear here"
        port = int(url.rstrip("/").rpartition(":")[2])
        with running_gateway(engine_url=script.url, checkpoint=checkpoint, port=port):
            press(tab, "#retry")
            tab.wait("!!document.querySelector('#overlay .guess')")
            assert not shown(tab, "#trouble")


def test_a_busy_server_is_asked_again_by_itself_after_the_time_that_it_says(tab, site, photo):
    script, url = site
    script.refusals = 99
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#trouble').checkVisibility()", 30)
    assert text(tab, "#trouble-said") == "The server has no time for it now."
    assert re.fullmatch(r"Trying again in \d+ s\.", text(tab, "#trouble-wait"))
    assert tab.evaluate("document.querySelector('#trouble-wait').getAttribute('aria-live')") == "off"
    script.refusals = 0
    tab.wait("!!document.querySelector('#overlay .guess')", 30)
    assert not shown(tab, "#trouble")


def test_a_key_that_has_asked_for_too_much_waits_as_long_as_the_server_says(tab, site, photo):
    with running_gateway(engine_url=site[0].url, tokens_per_minute=8000) as url:
        answered(tab, url, photo)
        press(tab, "#again")
        tab.wait("document.querySelector('#trouble').checkVisibility()")
        assert text(tab, "#trouble-said") == "That was more than one may ask this server for in a minute."
        waits = int(re.fullmatch(r"Trying again in (\d+) s\.", text(tab, "#trouble-wait"))[1])
        assert 1 <= waits <= 120
        assert text(tab, "#retry") == "Try now"
        press(tab, "#give-up")


def test_waiting_for_a_busy_server_can_be_ended(tab, site, photo):
    script, url = site
    script.refusals = 99
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#give-up').checkVisibility()", 30)
    press(tab, "#give-up")
    asked = len(script.asked)
    time.sleep(3)
    assert len(script.asked) == asked
    assert not shown(tab, "#trouble")
    assert shown(tab, "#again")


def test_stopping_ends_the_engines_work_too(tab, site, photo):
    script, url = site
    script.pause_s = 0.4
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#reasoning').textContent.includes('street')")
    press(tab, "#cancel")
    assert not shown(tab, "#busy")
    assert text(tab, "#said") == "Stopped."
    assert tab.evaluate("document.activeElement.id") == "again"
    assert script.left.wait(60)
    script.begin()
    press(tab, "#again")
    tab.wait("!!document.querySelector('#overlay .guess')")


def test_a_second_photo_ends_the_first_ones_question(tab, site, photo):
    script, url = site
    script.pause_s = 0.4
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#reasoning').textContent.includes('street')")
    script.pause_s, script.texts = 0.0, [PORTO]
    tab.choose("#file", photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    assert script.left.wait(60)
    time.sleep(1)
    assert text(tab, "#place") == "Porto, Portugal"
    assert text(tab, "#reasoning") == "A bridge of iron."
    assert tab.evaluate("document.querySelectorAll('#history-list li').length") == 1


def test_a_file_that_is_no_picture_is_told_before_anything_is_sent(tab, site, tmp_path):
    script, url = site
    opened(tab, url)
    for name, content in (("notes.txt", b"hello"), ("empty.jpg", b""), ("fake.jpg", b"\xff\xd8\xff\xe0" + b"x" * 999)):
        (tmp_path / name).write_bytes(content)
        tab.choose("#file", tmp_path / name)
        said = "This file is empty" if not content else "not a picture that your browser can read"
        tab.wait(f"document.querySelector('#trouble-said').textContent.includes({json.dumps(said)})")
        assert not shown(tab, "#retry")
        assert not shown(tab, "#busy")
    assert script.asked == []


def test_a_file_that_is_too_large_is_told_before_anything_is_read(tab, site, tmp_path):
    script, url = site
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(81 * 2**20)
    opened(tab, url)
    tab.choose("#file", tmp_path / "huge.jpg")
    tab.wait("document.querySelector('#trouble').checkVisibility()")
    assert text(tab, "#trouble-said") == "This file is too large: 85 MB, and 84 MB is the most."
    assert script.asked == []


def test_a_picture_that_cannot_be_made_small_enough_for_the_server_is_told(tab, site, tmp_path, checkpoint):
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with running_gateway(engine_url=site[0].url, max_body_bytes=50_000) as url:
        opened(tab, url)
        tab.choose("#file", tmp_path / "noise.png")
        tab.wait("document.querySelector('#trouble').checkVisibility()")
        assert text(tab, "#trouble-said") == "This picture is too large for the server, which takes 50 kB."


@pytest.mark.parametrize(
    ("answer", "place", "said"),
    [
        (render("Sand.", "Egypt", "Darwin"), "Egypt", "It named “Darwin”, which is not among the towns that are known of Egypt"),
        (render("Sand.", "Egypt", ""), "Egypt", "It named a country and no town"),
        (render("Fog.", "Nowhereland", "Atlantis"), "A place that is not on the map", "It answered “Atlantis, Nowhereland”"),
        ("<think>Fog.</think><answer>I cannot tell.</answer>", "No clear answer", "What it wrote does not name one place."),
    ],
)
def test_what_an_answer_lacks_is_said(tab, site, photo, answer, place, said):
    script, url = site
    script.texts = [answer]
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#said').textContent.length > 40")
    assert text(tab, "#place") == place
    assert said in text(tab, "#answer")
    assert tab.evaluate("document.querySelectorAll('#overlay .guess').length") == int(place == "Egypt")
    assert shown(tab, "#legend") is (place == "Egypt")
    assert tab.complaints == []


@pytest.mark.parametrize(("precision", "place"), [("country", "Germany"), ("region", "Bavaria, Germany")])
def test_a_gateway_that_may_not_tell_cities_says_so_and_tells_none(tab, site, photo, precision, place):
    reasons = "A wooden house stands by a road. The sign says Augsburg."
    site[0].texts = [render(reasons, "Germany", "Augsburg")] * 3 + [render(reasons, "Austria", "Innsbruck")] * 2
    with running_gateway(engine_url=site[0].url, max_precision=precision) as url:
        opened(tab, url)
        named = "countries" if precision == "country" else "regions"
        assert text(tab, "#restricted") == f"This server names {named}, and nothing finer."
        tab.choose("#file", photo)
        tab.wait("!!document.querySelector('#overlay .guess')")
        assert text(tab, "#place") == place
        assert not re.search("Augsburg|Innsbruck", tab.evaluate("document.body.textContent"))
        assert text(tab, "#remarks").startswith("This server tells")
        assert text(tab, "#shortened").startswith("Sentences that may tell more")


# A model's text


def test_a_hostile_answer_is_text_and_nothing_else(tab, site, photo):
    script, url = site
    script.texts = [render(HOSTILE, "Portugal", "Lisbon")] * 4 + [render(HOSTILE, f"P{HOSTILE[:80]}", f"C{HOSTILE[:90]}")]
    answered(tab, url, photo)
    assert (
        tab.evaluate("document.querySelectorAll('main script, main style, [onerror], [onload], main img:not(#photo)').length")
        == 0
    )
    assert not tab.evaluate("document.title").startswith("attacked")
    reasoning = tab.evaluate("document.querySelector('#reasoning').textContent")
    assert "<script>document.title='attacked'</script>" in reasoning
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f\ufeff\u2028]", tab.evaluate("document.body.textContent")
    )
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert tab.complaints == []
    assert foreign(tab, url) == []


@pytest.mark.parametrize("words", [4_000, 200_000], ids=["in pieces", "a megabyte at once"])
def test_endless_reasoning_is_cut_and_leaves_the_page_quick(tab, site, photo, words):
    script, url = site
    script.pause_s, script.texts = 0.0001 * (words < 10_000), [render("word " * words, "Portugal", "Lisbon")]
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("!!document.querySelector('#overlay .guess')", 40)
    assert len(tab.evaluate("document.querySelector('#reasoning').textContent")) <= 20_002
    assert min(seconds_of_two_frames(tab) for _ in range(5)) < 1


def seconds_of_two_frames(tab) -> float:
    began = time.monotonic()
    tab.evaluate(TWO_FRAMES)
    return time.monotonic() - began


@pytest.mark.parametrize("kept", [False, True])
def test_a_server_with_keys_asks_for_one_and_it_is_kept_only_if_wanted(tab, site, photo, tmp_path, kept):
    keys = tmp_path / "keys.yaml"
    key, _ = make_key(keys, "tester")
    with running_gateway(engine_url=site[0].url, keys_file=keys) as url:
        opened(tab, url)
        assert shown(tab, "#key-form")
        tab.choose("#file", photo)
        tab.wait("document.activeElement.id === 'key'")
        assert site[0].asked == []
        tab.type("wrong")
        tab.press("Enter", 13)
        tab.wait("document.querySelector('#key-why').textContent.includes('does not know this key')")
        assert tab.evaluate("document.querySelector('#key').getAttribute('aria-invalid')") == "true"
        if kept:
            press(tab, "#key-kept")
        tab.evaluate("document.querySelector('#key').focus()")
        tab.type(key)
        tab.press("Enter", 13)
        tab.wait("!!document.querySelector('#overlay .guess')")
        assert key not in tab.evaluate("document.documentElement.outerHTML + document.querySelector('#key').value")
        assert tab.evaluate("Object.values(sessionStorage)") == ([key] if kept else [])
        assert tab.evaluate("localStorage.length + document.cookie.length") == 0
        opened(tab, url)
        assert shown(tab, "#key-form") is not kept
        tab.evaluate("sessionStorage.clear()")
