"""Photos on their way to the server: how they are given, and what of them leaves the browser."""

import base64
import io
import json

import numpy as np
import pytest
from page_driver import WIDE, answered, draw_photo, middle, opened, shown, text
from PIL import Image

PREPARE = """(async () => {{
    const {{ prepare }} = await import('/static/picture.js');
    const bytes = Uint8Array.from(atob({data}), (one) => one.charCodeAt(0));
    const {{ blob, width, height, scaled }} = await prepare(new File([bytes], 'x', {{ type: {kind} }}), {most});
    const sent = new Uint8Array(await blob.arrayBuffer());
    let text = '';
    for (let i = 0; i < sent.length; i += 4096) text += String.fromCharCode(...sent.subarray(i, i + 4096));
    return {{ data: btoa(text), kind: blob.type, width, height, scaled }};
}})()"""


def prepared(tab, data: bytes, kind: str = "image/jpeg", most: int = 20_000_000):
    """What the page makes of a file: its bytes, and what it says about them."""
    code = PREPARE.format(data=json.dumps(base64.b64encode(data).decode()), kind=json.dumps(kind), most=most)
    made = tab.evaluate(code)
    return base64.b64decode(made.pop("data")), made


@pytest.fixture(scope="module")
def page(tab, running):
    opened(tab, running[1])
    return tab


def turned(data: bytes) -> np.ndarray:
    """A picture's pixels as a viewer shows them."""
    from PIL import ImageOps

    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_keeps_every_pixel_and_how_it_is_turned_and_nothing_else(page, photo, orientation, progressive):
    picture, out = Image.open(photo).convert("RGB"), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = orientation, "SecretCamera", "2026:01:02 03:04:05"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 0.0)})
    picture.save(out, "JPEG", exif=exif, comment=b"SecretComment", progressive=progressive, icc_profile=b"SecretProfile" * 9)
    data = out.getvalue() + b"\xff\xd8SecretSecondPicture\xff\xd9"
    assert data.count(b"Secret") >= 4
    sent, said = prepared(page, data)
    assert b"Secret" not in sent
    assert b"2026" not in sent
    assert np.array_equal(turned(sent), turned(out.getvalue()))
    assert dict(Image.open(io.BytesIO(sent)).getexif()) == ({0x0112: orientation} if orientation > 1 else {})
    size = turned(sent).shape
    assert (said["width"], said["height"], said["kind"], said["scaled"]) == (size[1], size[0], "image/jpeg", False)


def test_a_jpeg_in_cmyk_or_grey_stays_readable(page, photo):
    for mode in ("CMYK", "L"):
        out = io.BytesIO()
        Image.open(photo).convert(mode).save(out, "JPEG")
        sent, _ = prepared(page, out.getvalue())
        assert np.array_equal(turned(sent), turned(out.getvalue())), mode


def test_a_png_keeps_its_pixels_and_loses_what_is_written_in_it(page):
    from PIL.PngImagePlugin import PngInfo

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 60, 4), dtype=np.uint8))
    info, out = PngInfo(), io.BytesIO()
    info.add_text("Location", "Secret")
    info.add_itxt("XML:com.adobe.xmp", "Secret")
    picture.save(out, "PNG", pnginfo=info)
    sent, said = prepared(page, out.getvalue() + b"Secret", "image/png")
    assert b"Secret" not in sent
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sent))), np.asarray(picture))
    assert said["kind"] == "image/png"


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP"])
def test_other_kinds_are_drawn_anew(page, photo, kind):
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    Image.open(photo).convert("RGB").save(out, kind, **({"exif": exif, "quality": 95} if kind == "WEBP" else {}))
    sent, said = prepared(page, out.getvalue(), f"image/{kind.lower()}")
    assert said["kind"] == "image/jpeg"
    assert b"Secret" not in sent
    difference = np.abs(turned(sent).astype(int) - turned(out.getvalue()).astype(int))
    assert difference.mean() < 3


def test_a_large_photo_is_scaled_to_2048_pixels_upright_and_looks_the_same(page, tmp_path):
    path = draw_photo(tmp_path / "large.jpg", (4000, 3000))
    sent, said = prepared(page, path.read_bytes())
    assert (said["width"], said["height"], said["scaled"]) == (1536, 2048, True)
    picture = Image.open(io.BytesIO(sent))
    assert picture.size == (1536, 2048)
    assert len(picture.getexif()) == 0
    expected = Image.fromarray(turned(path.read_bytes())).resize((1536, 2048), Image.Resampling.BOX)
    difference = np.abs(np.asarray(picture.resize((96, 128))).astype(int) - np.asarray(expected.resize((96, 128))).astype(int))
    assert difference.mean() < 3


def test_a_photo_over_the_servers_limit_is_made_smaller_until_it_fits(page):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=95)
    sent, said = prepared(page, out.getvalue(), most=1_500_000)
    assert len(sent) <= 1_500_000
    assert max(said["width"], said["height"]) == 1024


@pytest.mark.parametrize("cut", [3, 20, 400, -40])
def test_a_damaged_jpeg_is_refused_or_sent_whole_but_never_breaks_the_page(page, photo, cut):
    code = PREPARE.format(data=json.dumps(base64.b64encode(photo.read_bytes()[:cut]).decode()), kind='"image/jpeg"', most=10**7)
    said = page.evaluate(code.removesuffix("()") + "().then((made) => atob(made.data).slice(0, 2), (error) => error.message)")
    assert said == "\xff\xd8" or "not a picture that your browser can read" in said


def test_what_the_server_gets_is_what_the_page_has_made_of_the_file(tab, site, photo):
    script, url = site
    answered(tab, url, photo)
    [sent] = {asked["messages"][0]["content"][0]["image_url"]["url"] for asked in script.asked}
    seen = Image.open(io.BytesIO(base64.b64decode(sent.partition(",")[2])))
    expected = turned(photo.read_bytes()).astype(int)
    assert np.abs(np.asarray(seen.convert("RGB")) - expected).mean() < 1.5
    assert text(tab, "#sent").startswith("Sent: 300 × 400 pixels, ")
    assert "without metadata" in text(tab, "#sent")


def test_a_photo_can_be_pasted(tab, site, photo):
    opened(tab, site[1])
    tab("Browser.grantPermissions", origin=site[1][:-1], permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    png = io.BytesIO()
    Image.open(photo).save(png, "PNG")
    tab.evaluate(
        f"""(async () => {{
            const bytes = Uint8Array.from(atob('{base64.b64encode(png.getvalue()).decode()}'), (one) => one.charCodeAt(0));
            window.focus();
            await navigator.clipboard.write([new ClipboardItem({{ 'image/png': new Blob([bytes], {{ type: 'image/png' }}) }})]);
        }})()"""
    )
    tab.press("v", 86, modifiers=2, commands=["paste"])
    tab.wait("!!document.querySelector('#overlay .guess')")
    assert text(tab, "#place") == "Lisbon, Portugal"


def test_pasting_into_a_field_is_not_taken_for_a_photo(tab, site):
    opened(tab, site[1])
    tab.evaluate("navigator.clipboard.writeText('48.2, 16.4')")
    tab.evaluate("document.querySelector('#truth').focus()")
    tab.press("v", 86, modifiers=2, commands=["paste"])
    tab.wait("document.querySelector('#truth').value === '48.2, 16.4'")
    assert not shown(tab, "#trouble")


def test_a_file_dropped_beside_the_box_is_taken_and_never_opened(tab, site, photo):
    opened(tab, site[1])
    tab.drop(*middle(tab, "h1"), photo)
    tab.wait("!!document.querySelector('#overlay .guess')")
    assert tab.evaluate("location.href") == site[1]


def test_the_same_photo_can_be_chosen_again(tab, site, photo):
    script, url = site
    answered(tab, url, photo)
    tab.choose("#file", photo)
    tab.wait("document.querySelectorAll('#history-list li').length === 2")
    assert len(script.asked) == 10
    assert tab.evaluate("innerWidth") == WIDE
