"""Who uses the page otherwise than with a mouse at a desk: by keyboard, by touch, with a screen reader, in the dark."""

import json
import re
import time
from pathlib import Path

import axe_core_python
import pytest
from page_driver import (
    PHONE,
    WIDE,
    answered,
    box,
    foreign,
    mark,
    middle,
    opened,
    press,
    project,
    settled,
    shown,
    text,
    texts,
    view,
)

from globe.geo.places import find_place

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
FOCUS = """(() => {
    const one = document.activeElement;
    return [one.id || one.textContent.trim(), getComputedStyle(one).outlineStyle];
})()"""
SIZES = [(WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)]


def faults(tab) -> list[str]:
    """What axe finds wrong, with the elements."""
    tab("Page.setBypassCSP", enabled=True)
    tab.evaluate(f"{AXE}; 0")
    passed, found = tab.evaluate("axe.run(document).then((found) => [found.passes.length, JSON.stringify(found.violations)])")
    assert passed > 20
    return [f"{one['impact']} {one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in json.loads(found)]


@pytest.mark.parametrize(("width_px", "dark"), SIZES)
def test_axe_finds_no_fault_before_during_and_after_an_answer(tab, site, photo, width_px, dark):
    script, url = site
    script.pause_s = 0.5
    opened(tab, url, width_px, dark=dark)
    assert faults(tab) == []
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#reasoning').textContent.includes('street')")
    assert faults(tab) == []
    script.pause_s = 0.0
    press(tab, "#cancel")
    press(tab, "#again")
    tab.wait("!!document.querySelector('#overlay .guess')")
    tab.evaluate("document.querySelector('#thoughts').open = true")
    tab.evaluate("document.querySelector('#truth').value = '40, -3'; document.querySelector('#truth-form button').click()")
    assert shown(tab, "#measured")
    settled(tab)
    assert faults(tab) == []
    tab.evaluate("document.querySelector('#key-form').hidden = false; document.querySelector('#trouble').hidden = false")
    tab.evaluate("document.querySelector('#trouble-said').textContent = 'The server has no time for it now.'")
    assert faults(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert foreign(tab, url) == []


@pytest.mark.parametrize("width_px", [320, PHONE, 640, 930, 2000])
def test_nothing_is_wider_than_the_window_and_what_is_touched_is_large_enough(tab, site, photo, width_px):
    answered(tab, site[1], photo, width_px)
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    small = """[...document.querySelectorAll('button, input[type=text], summary')].filter((one) => one.checkVisibility())
        .filter((one) => one.getBoundingClientRect().height < 27.5 || one.getBoundingClientRect().width < 44)
        .map((one) => one.id)"""
    assert tab.evaluate(small) == []


def tab_to(tab, wanted: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(40):
        tab.press("Tab", 9)
        name, outline = tab.evaluate(FOCUS)
        assert outline != "none", f"the focus cannot be seen on {name}"
        if name == wanted or name.startswith(wanted):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


def test_everything_can_be_done_by_keyboard(tab, site, photo):
    script, url = site
    script.pause_s = 3.0
    opened(tab, url)
    tab("Page.setInterceptFileChooserDialog", enabled=True)
    tab_to(tab, "choose")
    tab.press("Enter", 13)
    until_s = time.monotonic() + 60
    while not [one for one in tab.events if one.get("method") == "Page.fileChooserOpened"]:
        assert time.monotonic() < until_s, "no dialog opened"
        tab.wait("true")
    tab("Page.setInterceptFileChooserDialog", enabled=False)
    tab.choose("#file", photo)
    # Only then there is a photo to ask again; "Asking ..." is soon followed by how many tries are in.
    tab.wait("/^(Asking|\\d+ of) /.test(document.querySelector('#busy-said').textContent)")
    tab_to(tab, "cancel")
    script.pause_s = 0.0
    tab.press("Enter", 13)
    assert tab.evaluate("document.activeElement.id") == "again"
    tab.press("Enter", 13)
    tab.wait("!!document.querySelector('#overlay .guess')")
    settled(tab)
    tab_to(tab, "2Porto")
    tab.press("Enter", 13)
    settled(tab)
    tab_to(tab, "map")
    assert tab.evaluate("getComputedStyle(document.querySelector('.cross')).display") == "block"
    before = view(tab)
    for key, code in (("ArrowRight", 39), ("ArrowDown", 40), ("-", 189)):
        tab.press(key, code)
    settled(tab)
    after = view(tab)
    assert after["scale"] == pytest.approx(before["scale"] / 1.5)
    assert after["lon"] > before["lon"]
    assert after["height"] < before["height"]
    tab.press("Enter", 13)
    tab.wait("!document.querySelector('#measured').hidden")
    assert re.match(r"The guess is [\d,.]+ km off\.", text(tab, "#said"))
    tab_to(tab, "truth")
    tab_to(tab, "truth-gone")
    tab.press("Enter", 13)
    assert not shown(tab, "#measured")
    assert tab.complaints == []


def test_a_screen_reader_hears_a_photo_an_answer_and_nothing_of_the_stream(tab, site, photo):
    script, url = site
    script.pause_s = 0.05
    opened(tab, url)
    tab.evaluate(
        """window.heard = []; new MutationObserver(() => heard.push(document.querySelector('#said').textContent))
        .observe(document.querySelector('#said'), { childList: true, characterData: true, subtree: true })"""
    )
    tab.choose("#file", photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    heard = [one for one in tab.evaluate("heard") if one]
    assert heard[0] == "The model is looking at the photo."
    assert heard[1].startswith("Lisbon, Portugal. Fairly sure: 3 of its 5 tries gave this place.")
    assert len(heard) == 2
    assert (
        tab.evaluate("document.querySelector('#reasoning').closest('[aria-live], [role=status], [role=alert], [role=log]')")
        is None
    )


def test_fingers_pan_and_pinch_the_map_and_a_tap_marks_a_place(tab, site, photo):
    answered(tab, site[1], photo, PHONE)
    tab.evaluate("document.querySelector('#map').scrollIntoView({ block: 'center' })")
    time.sleep(0.1)
    x, y = middle(tab, "#map")
    before = view(tab)
    tab.touch("touchStart", (x - 40, y), (x + 40, y))
    for step in range(1, 6):
        tab.touch("touchMove", (x - 40 - 8 * step, y), (x + 40 + 8 * step, y))
    tab.touch("touchEnd")
    settled(tab)
    assert view(tab)["scale"] == pytest.approx(2 * before["scale"], rel=0.1)
    place = find_place("Lisbon", "Portugal")
    at = project(tab, place.lat_deg, place.lon_deg)
    assert mark(tab, "guess") == pytest.approx(at, abs=0.2)
    tab.touch("touchStart", (x, y))
    for step in range(1, 9):
        tab.touch("touchMove", (x - 10 * step, y))
    tab.touch("touchEnd")
    settled(tab)
    assert view(tab)["lon"] > before["lon"]
    assert tab.evaluate("document.querySelectorAll('#overlay .truth').length") == 0
    tab.touch("touchStart", (x, y))
    tab.touch("touchEnd")
    tab.wait("document.querySelectorAll('#overlay .truth').length === 1")


def test_a_phone_offers_its_camera_and_shows_the_answer_when_it_comes(tab, site, photo):
    opened(tab, site[1], PHONE)
    assert shown(tab, "#camera")
    assert tab.evaluate("document.querySelector('#shot').getAttribute('capture')") == "environment"
    tab.choose("#shot", photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    time.sleep(0.2)
    _, top, _, height = box(tab, "#place")
    assert 0 <= top <= 900 - height
    opened(tab, site[1], WIDE)
    assert not shown(tab, "#camera")


def test_the_wheel_zooms_around_the_pointer_and_a_drag_turns_the_world(tab, site, photo):
    answered(tab, site[1], photo)
    place = find_place("Porto", "Portugal")
    x, y = project(tab, place.lat_deg, place.lon_deg)  # of which the browser takes whole pixels
    before = view(tab)["scale"]
    tab.wheel(x, y, -240)
    settled(tab)
    assert view(tab)["scale"] > 1.3 * before
    assert project(tab, place.lat_deg, place.lon_deg) == pytest.approx((x, y), abs=1)
    tab.drag((x, y), (x + 90, y + 40))
    settled(tab)
    assert project(tab, place.lat_deg, place.lon_deg) == pytest.approx((x + 90, y + 40), abs=1.5)
    assert tab.evaluate("document.querySelectorAll('#overlay .truth').length") == 0
    press(tab, "#whole")
    settled(tab)
    start = view(tab)["lon"]
    left, top, width, height = box(tab, "#map")
    for _ in range(6):  # once around the world and further
        tab.drag((left + width - 90, top + height / 2), (left + 20, top + height / 2))
    settled(tab)
    assert -180 <= view(tab)["lon"] <= 180
    assert view(tab)["lon"] != start


def test_the_page_scrolls_on_where_the_map_cannot_get_smaller(tab, site):
    opened(tab, site[1], WIDE)
    x, y = middle(tab, "#map")
    for _ in range(12):
        tab.wheel(x, y, 400)
    tab.wait("window.scrollY > 0")


def test_earlier_photos_can_be_looked_at_again_with_what_was_measured(tab, site, photo):
    script, url = site
    answered(tab, url, photo)
    assert not shown(tab, "#history")
    tab.evaluate("document.querySelector('#truth').value = '38.72, -9.14'; document.querySelector('#truth-form button').click()")
    script.texts = [script.texts[2]]
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#place').textContent.startsWith('Porto')")
    assert not shown(tab, "#measured")
    assert texts(tab, "#history bdi") == ["Porto, Portugal", "Lisbon, Portugal"]
    press(tab, "#history li:nth-child(2) button")
    assert text(tab, "#place") == "Lisbon, Portugal"
    assert text(tab, "#far").startswith("The guess is ")
    assert "right town" in text(tab, "#far") or "same street" in text(tab, "#far")
    assert "yellow" in text(tab, "#reasoning")
    assert tab.evaluate("document.activeElement.id") == "answer"
    assert texts(tab, "#history bdi") == ["Porto, Portugal", "Lisbon, Portugal"]
    assert tab.evaluate("localStorage.length + sessionStorage.length") == 0


def test_without_movement_the_map_is_there_at_once_and_with_it_it_flies(tab, site, photo):
    script, url = site
    watching = """window.sizes = [];
    // A clock that goes on by a fiftieth of a second with each frame, however many frames a busy machine draws in a second.
    let clock = 0;
    performance.now = () => clock;
    const drawn = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (step) => drawn(() => step(clock += 20));
    import('/static/app.js').then(({ map }) => {
        const before = map.moved;
        map.moved = (shown) => { sizes.push(shown.view.scale); before(shown); };
    })"""
    between = []
    for still in (True, False):
        script.begin()
        opened(tab, url, WIDE, still=still)
        tab.evaluate(watching)
        first = view(tab)["scale"]
        tab.choose("#file", photo)
        tab.wait("!!document.querySelector('#overlay .guess')")
        settled(tab)
        last = view(tab)["scale"]
        assert last > 2 * first
        between.append([size for size in tab.evaluate("sizes") if first * 1.01 < size < last * 0.99])
    assert between[0] == []
    assert len(between[1]) >= 2


def test_the_focus_goes_to_the_answer_if_it_was_on_the_button_that_stops(tab, site, photo):
    script, url = site
    script.pause_s = 0.3
    opened(tab, url)
    tab.choose("#file", photo)
    tab.wait("document.querySelector('#busy').checkVisibility()")
    tab.evaluate("document.querySelector('#cancel').focus()")
    script.pause_s = 0.0
    tab.wait("!!document.querySelector('#overlay .guess')", 60)
    assert tab.evaluate("document.activeElement.id") == "answer"


def test_a_map_without_its_outlines_still_shows_where_places_are(tab, site, photo):
    tab("Network.setBlockedURLs", urls=["*world.json"])
    tab.open(site[1], WIDE, still=True)
    tab.wait("document.querySelector('#unmapped').checkVisibility()")
    tab("Network.setBlockedURLs", urls=[])
    tab.choose("#file", photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    settled(tab)
    place = find_place("Lisbon", "Portugal")
    assert mark(tab, "guess") == pytest.approx(project(tab, place.lat_deg, place.lon_deg), abs=0.2)
