"""From a photo to a place, on the page in a real browser; what the model says comes from a script, in GLOBE's answer grammar."""

import base64
import io
import json
import math
import re

import pytest
from page_driver import WIDE, answered, box, foreign, mark, middle, opened, outline, press, project, settled, text, texts, view
from PIL import Image
from place_engine import AGREED_KM
from pyproj import Geod

from globe.geo.distance import distance_km
from globe.geo.places import find_place

GUESS_RGB = (198, 74, 23)


def test_a_dropped_photo_gets_reasons_as_they_come_and_then_a_place_on_the_map(tab, site, photo):
    script, url = site
    script.pause_s, script.waits_after = 0.02, "paved"
    tab.open(url, WIDE)
    tab.drop(*middle(tab, "#drop"), photo)
    tab.wait("document.querySelector('#reasoning').textContent.includes('paved')")
    early = text(tab, "#reasoning")
    assert "Porto" not in early
    assert text(tab, "#place") == "Looking …"
    assert re.fullmatch(r"[0-5] of 5 tries are in|Asking the model 5 times …", text(tab, "#busy-said"))
    script.goes_on.set()
    tab.wait("!!document.querySelector('#overlay .guess')")
    assert text(tab, "#reasoning") == "The street is paved in waves.\nThe tram is yellow, so this is Lisbon rather than Porto."
    assert text(tab, "#place") == "Lisbon, Portugal"
    assert text(tab, "#sureness") == "Fairly sure: 3 of its 5 tries gave this place."
    assert f"90% are within {AGREED_KM:.0f} km of the truth" in text(tab, "#remarks")
    assert texts(tab, "#others-list bdi") == ["Porto, Portugal", "Salvador, Brazil"]
    assert texts(tab, "#others-list span") == ["1 of 5", "1 of 5"]
    assert len(script.asked) == 5
    assert tab.complaints == []
    assert foreign(tab, url) == []


def test_the_marks_are_where_the_projection_puts_their_places(tab, site, photo):
    answered(tab, site[1], photo)
    lisbon, porto = find_place("Lisbon", "Portugal"), find_place("Porto", "Portugal")
    for _ in range(3):
        x, y = project(tab, lisbon.lat_deg, lisbon.lon_deg)
        assert mark(tab, "guess") == pytest.approx((x, y), abs=0.2)
        assert mark(tab, "other[cx]:nth-of-type(2)") == pytest.approx(project(tab, porto.lat_deg, porto.lon_deg), abs=0.2)
        assert seen(tab).getpixel((round(x), round(y))) == GUESS_RGB
        press(tab, "#zoom-out")
        settled(tab)


def seen(tab) -> Image.Image:
    """What the window shows."""
    found = tab("Page.captureScreenshot", format="png")
    return Image.open(io.BytesIO(base64.b64decode(found["data"]))).convert("RGB")


def test_the_ring_goes_through_what_is_a_radius_away(tab, site, photo):
    answered(tab, site[1], photo)
    [ring] = outline(tab, "#overlay .ring")
    lisbon = find_place("Lisbon", "Portugal")
    left, top, _, _ = box(tab, "#overlay")
    for bearing in range(0, 360, 30):
        lon, lat, _ = Geod(ellps="WGS84").fwd(lisbon.lon_deg, lisbon.lat_deg, bearing, AGREED_KM * 1000)
        x, y = project(tab, lat, lon)
        assert min(math.hypot(x - left - a, y - top - b) for a, b in ring) < 0.3
    assert len(ring) >= 180


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "radius_km", "inside", "outside"),
    [
        (-17.8, 178.0, 800, [(-17.8, -178.5), (-14, 179.9)], [(-17.8, 170.0), (-17.8, -170.0)]),  # over the 180th meridian
        (88.0, 20.0, 600, [(89.4, 0.0), (87.5, -150.0), (89, 20.0)], [(80, 20.0), (82, -160.0)]),  # around a pole
        (-75.0, 0.0, 2500, [(-89, 170.0), (-80, 120.0)], [(-40, 0.0), (-60, 170.0)]),
        (10.0, 100.0, 12_000, [(0, 0.0), (-60, 100.0), (80, -85.0)], [(-10, -85.0), (0, -60.0)]),  # more than half of the Earth
    ],
)
def test_a_ring_holds_what_is_nearer_wherever_it_lies(tab, site, lat_deg, lon_deg, radius_km, inside, outside):
    opened(tab, site[1])
    answer = {"status": "ok", "lat_deg": lat_deg, "lon_deg": lon_deg, "radius_km": radius_km}
    shape = f"""(async () => {{
        const {{ map }} = await import('/static/app.js'), {{ Places }} = await import('/static/places.js');
        const svg = document.querySelector('#overlay'), places = new Places(svg);
        map.moved = () => {{}};
        map.view = {{ lon: {lon_deg}, height: 0, scale: 40 * map.leastScale }};  // where a pixel matters less
        places.show({json.dumps(answer)}, 'x');
        places.draw(map);
        const ring = svg.querySelector('.ring'), edge = svg.querySelector('clipPath path');
        const point = (lat, lon) => {{ const {{ x, y }} = map.pixel({{ lat, lon }}); return new DOMPoint(x, y); }};
        return ([lat, lon]) => ring.isPointInFill(point(lat, lon)) && edge.isPointInFill(point(lat, lon));
    }})()"""
    for places, expected in ((inside, True), (outside, False)):
        for place in places:
            km = distance_km(lat_deg, lon_deg, *place)
            assert (km < radius_km) is expected, "the test's own positions"
        assert tab.evaluate(f"{shape}.then(holds => {json.dumps(places)}.map(holds))") == [expected] * len(places)


def test_a_click_where_it_really_was_tells_how_far_the_guess_is_off(tab, site, photo):
    answered(tab, site[1], photo)
    tab.evaluate("document.querySelector('#map').scrollIntoView({block: 'center'})")
    names = (("Madrid", "Spain"), ("Lisbon", "Portugal"), ("Porto", "Portugal"))
    madrid, lisbon, porto = (find_place(*name) for name in names)
    tab.click(*project(tab, madrid.lat_deg, madrid.lon_deg))
    tab.wait("!document.querySelector('#measured').hidden")
    km = float(re.search(r"The guess is ([\d,]+) km off", text(tab, "#far"))[1].replace(",", ""))
    per_pixel = 6371 / view(tab)["scale"]
    assert km == pytest.approx(distance_km(lisbon.lat_deg, lisbon.lon_deg, madrid.lat_deg, madrid.lon_deg), abs=1 + per_pixel)
    assert "about the right country (within 750 km)" in text(tab, "#far")
    assert "The truth lies outside the ring." in text(tab, "#far-others")
    other = float(re.search(r"Porto, Portugal would be ([\d,]+) km off", text(tab, "#far-others"))[1])
    assert other == pytest.approx(distance_km(porto.lat_deg, porto.lon_deg, madrid.lat_deg, madrid.lon_deg), abs=1 + per_pixel)
    assert text(tab, "#said").startswith(f"The guess is {km:.0f} km off.")


@pytest.mark.parametrize(
    ("typed", "lat_deg", "lon_deg"),
    [
        ("40.4168, -3.7038", 40.4168, -3.7038),
        ("33.87 S, 151.21 E", -33.87, 151.21),
        ("-41.3 174.8", -41.3, 174.8),
        ("90, 0", 90, 0),
    ],
)
def test_typed_coordinates_are_measured_to_the_kilometre(tab, site, photo, typed, lat_deg, lon_deg):
    answered(tab, site[1], photo)
    tab.evaluate("document.querySelector('#truth').focus()")
    tab.type(typed)
    tab.press("Enter", 13)
    tab.wait("!document.querySelector('#measured').hidden")
    lisbon = find_place("Lisbon", "Portugal")
    expected = distance_km(lisbon.lat_deg, lisbon.lon_deg, lat_deg, lon_deg)
    assert text(tab, "#far").startswith(f"The guess is {expected:,.0f} km off.")


@pytest.mark.parametrize("typed", ["", "Vienna", "91, 0", "10, 181", "1, 2, 3", "48°12'N", "<b>1, 2</b>", "1e1, 2"])
def test_what_is_no_position_gets_a_hint_and_no_mark(tab, site, typed):
    opened(tab, site[1])
    tab.evaluate("document.querySelector('#truth').focus()")
    tab.type(typed)
    tab.press("Enter", 13)
    assert text(tab, "#truth-wrong").startswith("Give latitude and longitude in degrees")
    assert tab.evaluate("document.querySelector('#truth').getAttribute('aria-invalid')") == "true"
    assert tab.evaluate("document.querySelectorAll('#overlay .truth').length") == 0
