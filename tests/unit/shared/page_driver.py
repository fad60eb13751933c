"""What a person does with the page and sees on it, for tests in a real browser."""

import json
import math
import re
import time
from pathlib import Path

import numpy as np
from chromium import Tab
from PIL import Image

WIDE, PHONE = 1280, 360
MAP = "(async () => (await import('/static/app.js')).map)()"


def draw_photo(path: Path, size_px: tuple[int, int] = (400, 300)) -> Path:
    """A photo as a phone makes it: turned, with its position and the camera's name in it."""
    rows, columns = np.mgrid[0 : size_px[1], 0 : size_px[0]]
    picture = Image.fromarray(np.stack([rows % 256, columns % 256, (rows + columns) % 256], -1).astype("uint8"))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 0.0), 3: "E", 4: (16.0, 22.0, 0.0)})
    picture.save(path, exif=exif, comment=b"SecretComment")
    return path


def box(tab: Tab, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element in the window."""
    edges = json.loads(tab.evaluate(f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"))
    return edges["left"], edges["top"], edges["width"], edges["height"]


def middle(tab: Tab, selector: str) -> tuple[float, float]:
    """An element's middle in the window."""
    left, top, width, height = box(tab, selector)
    return left + width / 2, top + height / 2


def text(tab: Tab, selector: str) -> str:
    """What is written in an element."""
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def shown(tab: Tab, selector: str) -> bool:
    """Whether an element can be seen."""
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).checkVisibility()")


def texts(tab: Tab, selector: str) -> list[str]:
    """What is written in each of several elements."""
    return tab.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)")


def press(tab: Tab, selector: str) -> None:
    """Use a button."""
    tab.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def opened(tab: Tab, url: str, width_px: int = WIDE, **wishes: bool) -> None:
    """Open the page, and wait for its map."""
    tab.open(url, width_px, **({"still": True} | wishes))
    tab.wait(f"{MAP}.then(map => !!map.world)")


def answered(tab: Tab, url: str, photo: Path, width_px: int = WIDE, **wishes: bool) -> None:
    """Open the page, give it a photo, and wait until the answer is there and the map has come to rest."""
    opened(tab, url, width_px, **wishes)
    tab.choose("#file", photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    settled(tab)


TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""JavaScript that waits until the page has been drawn twice."""


def settled(tab: Tab) -> None:
    """Wait until the map does not move any more: from one frame to the next, however long a busy machine takes for them."""
    before = None
    while (now := view(tab)) != before:
        before = now
        time.sleep(0.12)
        tab.evaluate(TWO_FRAMES)


def view(tab: Tab) -> dict[str, float]:
    """The map's central meridian, the height of its middle, and its scale in pixels."""
    return tab.evaluate(f"{MAP}.then(map => map.view)")


def project(tab: Tab, lat_deg: float, lon_deg: float) -> tuple[float, float]:
    """Pixel of the window for a position: Equal Earth, in this test's own words (doi:10.1080/13658816.2018.1504949)."""
    now = view(tab)
    left, top, width, height = box(tab, "#overlay")
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(lat_deg)))
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    slope = 9 * a4 * theta**8 + 7 * a3 * theta**6 + 3 * a2 * theta**2 + a1
    far = math.radians((lon_deg - now["lon"] + 180) % 360 - 180)
    x = 2 * math.sqrt(3) * far * math.cos(theta) / (3 * slope)
    y = a4 * theta**9 + a3 * theta**7 + a2 * theta**3 + a1 * theta
    return left + width / 2 + x * now["scale"], top + height / 2 - (y - now["height"]) * now["scale"]


def mark(tab: Tab, kind: str) -> tuple[float, float]:
    """Pixel of the window where a round mark is drawn."""
    left, top, _, _ = box(tab, "#overlay")
    x, y = tab.evaluate(f"['cx', 'cy'].map(one => +document.querySelector('#overlay .{kind}').getAttribute(one))")
    return left + x, top + y


def outline(tab: Tab, selector: str) -> list[list[tuple[float, float]]]:
    """The pieces of an SVG path, in pixels of the map."""
    path = tab.evaluate(f"document.querySelector({json.dumps(selector)}).getAttribute('d')")
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", piece)] for piece in path.split("M")[1:]]


def foreign(tab: Tab, url: str) -> list[str]:
    """Requests to any other host."""
    return [one for one in tab.requested if not one.startswith((url, f"blob:{url}"))]
