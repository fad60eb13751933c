"""What the pictures show, read back from their pixels."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from globe.demo.draw import DUSK, GROUND, ROOF, SIGN, draw_scene, draw_unlocatable, to_png
from globe.demo.places import HAZES, City, all_cities


def test_the_same_seed_gives_the_same_pixels_and_another_seed_other_ones() -> None:
    city = all_cities()[0]
    assert draw_scene(city, 1).tobytes() == draw_scene(city, 1).tobytes()
    assert draw_scene(city, 1).tobytes() != draw_scene(city, 2).tobytes()
    assert draw_unlocatable("fog", 1).tobytes() == draw_unlocatable("fog", 1).tobytes()


@pytest.mark.parametrize("size_px", [56, 112])
def test_a_picture_has_the_asked_size_in_rgb_and_survives_png(size_px: int) -> None:
    picture = draw_scene(all_cities()[5], "x", size_px=size_px)
    assert (picture.size, picture.mode) == ((size_px, size_px), "RGB")
    with Image.open(BytesIO(to_png(picture))) as again:
        assert again.tobytes() == picture.tobytes()
        assert not again.info


@pytest.mark.parametrize("city", all_cities(), ids=lambda city: city.name)
def test_ground_roofs_and_sign_have_the_colours_of_the_citys_cues(city: City) -> None:
    pixels = np.asarray(draw_scene(city, "colours", noise=0), dtype=float)
    assert _nearest(pixels[38:50, 1:4].mean((0, 1)), GROUND) == city.cue("ground")
    assert _nearest(pixels[18:21, 16:21].mean((0, 1)), ROOF) == city.cue("roof")
    # Between frame and arrow.
    assert _nearest(pixels[12, 46:53].mean(0), SIGN) == city.cue("sign")


@pytest.mark.parametrize("city", all_cities()[::3], ids=lambda city: city.country)
def test_the_car_drives_on_its_countrys_side_of_the_road(city: City) -> None:
    pixels = np.asarray(draw_scene(city, "car", noise=0), dtype=float)[40:52]
    pink = (pixels[..., 0] > 150) & (pixels[..., 1] < 80) & (pixels[..., 2] > 60)
    side = "left traffic" if np.nonzero(pink)[1].mean() < 28 else "right traffic"
    assert side == city.cue("traffic")


def test_country_and_city_can_be_told_from_the_pixels() -> None:
    # Nearest class mean over 14 px patches, the patches that the model sees: pictures must not be ambiguous.
    cities = all_cities()
    learned = np.stack([np.mean([_patches(draw_scene(city, f"a{n}")) for n in range(8)], axis=0) for city in cities])
    right = total = 0
    for number, city in enumerate(cities):
        for n in range(3):
            distance = np.abs(learned - _patches(draw_scene(city, f"b{n}"))).sum(1)
            right += int(distance.argmin()) == number
            total += 1
    assert right / total >= 0.95


@pytest.mark.parametrize("city", all_cities()[::5], ids=lambda city: city.name)
def test_dusk_darkens_a_scene_and_leaves_its_colours_to_be_told_apart(city: City) -> None:
    day, dusk = (np.asarray(draw_scene(city, "evening", noise=0, dusk=dark), dtype=float) for dark in (False, True))
    assert dusk.mean() < 0.6 * day.mean()
    assert _nearest(dusk[38:50, 1:4].mean((0, 1)) / DUSK, GROUND) == city.cue("ground")


@pytest.mark.parametrize("haze", HAZES)
def test_an_unlocatable_picture_shows_next_to_nothing(haze: str) -> None:
    spread = np.asarray(draw_unlocatable(haze, 3), dtype=float).std((0, 1)).max()
    scenes = [np.asarray(draw_scene(city, 3), dtype=float).std((0, 1)).max() for city in all_cities()]
    assert spread < min(scenes) / 2


def test_an_unknown_haze_is_refused() -> None:
    with pytest.raises(ValueError, match="smoke"):
        draw_unlocatable("smoke", 0)


def _nearest(colour: np.ndarray, palette: dict[str, tuple[int, int, int]]) -> str:
    return min(palette, key=lambda name: float(np.abs(colour - np.array(palette[name])).sum()))


def _patches(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=float).reshape(4, 14, 4, 14, 3).mean((1, 3)).ravel()
