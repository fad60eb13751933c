"""Draw a scene with the cues of a city, or a picture that nobody could locate.

A scene is composed on a canvas of 56 x 56 units, drawn four times larger than asked and averaged down, which smooths its
edges. Each cue has its own place and colour, so that people recognize it, and so does a model that sees the picture as 2 x 2
image tokens. No two pictures are alike: colours and positions jitter, and brightness and pixel noise vary.
"""

import random
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from globe.demo.places import City

Colour = tuple[int, int, int]

UNITS = 56
_OVERSAMPLING = 4
_HORIZON = 28.0

SKY: dict[str, tuple[Colour, Colour]] = {
    "blue sky": ((58, 134, 222), (178, 216, 244)),
    "grey sky": ((150, 158, 170), (206, 210, 214)),
    "golden sky": ((244, 168, 84), (255, 226, 160)),
}
GROUND: dict[str, Colour] = {
    "snow": (240, 244, 250),
    "sand": (234, 204, 128),
    "grass": (104, 172, 62),
    "cobbles": (142, 134, 138),
    "water": (36, 120, 196),
    "red earth": (178, 76, 44),
}
ROOF: dict[str, Colour] = {
    "red roofs": (200, 48, 40),
    "grey roofs": (104, 108, 122),
    "green roofs": (38, 138, 88),
    "blue roofs": (40, 92, 190),
    "brown roofs": (112, 70, 40),
}
SIGN: dict[str, Colour] = {
    "yellow signs": (252, 208, 20),
    "green signs": (0, 140, 80),
    "blue signs": (24, 84, 200),
    "white signs": (248, 248, 248),
}
PLANT: dict[str, Colour] = {
    "oaks": (122, 176, 44),
    "pines": (16, 82, 62),
    "poplars": (186, 170, 40),
    "palms": (30, 150, 62),
    "cacti": (64, 164, 128),
}


DUSK = (0.46, 0.38, 0.62)
"""What is left of red, green and blue at dusk: dark and violet, but every colour can still be told from every other."""


def draw_scene(city: City, seed: int | str, size_px: int = 56, noise: float = 8.0, *, dusk: bool = False) -> Image.Image:
    """A street of the city: sky, houses, plants, a sign, the ground and a car on its side of the road.

    Args:
        city: The city whose cues are drawn.
        seed: Tells pictures of one city apart; the same seed gives the same pixels.
        size_px: Width and height of the picture.
        noise: Spread of colours and pixels, in levels of 255.
        dusk: Draw the same scene in the light of the evening.

    Returns:
        An RGB picture of size_px x size_px.
    """
    brush = _Brush.make(seed, size_px, noise)
    _sky(brush, city.sky)
    _ground(brush, city.cue("ground"))
    road_x = brush.near(28, 1.0)
    _road(brush, road_x)
    _houses(brush, city.cue("roof"), road_x)
    _plants(brush, city.cue("plant"))
    _sign(brush, city.cue("sign"))
    _car(brush, city.cue("traffic"), road_x)
    return brush.finish(DUSK if dusk else (1.0, 1.0, 1.0))


def draw_unlocatable(haze: str, seed: int | str, size_px: int = 56, noise: float = 8.0) -> Image.Image:
    """A picture without any cue to a place: `haze` is "fog", "blank wall" or "darkness"; the rest as in `draw_scene`."""
    brush = _Brush.make(seed, size_px, noise)
    if haze == "fog":
        _gradient(brush, 0, UNITS, brush.tint((196, 200, 204), 2.0), brush.tint((222, 222, 222), 2.0))
        for _ in range(5):
            x, y, level = brush.rng.uniform(-10, 50), brush.rng.uniform(5, 50), brush.rng.randint(200, 222)
            brush.ellipse(x, y, x + brush.rng.uniform(18, 40), y + brush.rng.uniform(3, 7), (level, level, level + 2))
    elif haze == "blank wall":
        base = brush.tint((176, 158, 146), 1.5)
        brush.rectangle(0, 0, UNITS, UNITS, base)
        joint = _shade(base, 0.9)
        shift = brush.rng.uniform(0, 6)
        for row in range(9):
            y = row * 7.0 + shift - 6
            brush.rectangle(0, y, UNITS, y + 0.8, joint)
            for column in range(6):
                x = column * 13.0 + shift + (6.5 if row % 2 else 0.0) - 12
                brush.rectangle(x, y, x + 0.8, y + 7, joint)
    elif haze == "darkness":
        _gradient(brush, 0, UNITS, brush.tint((20, 20, 34), 0.6), brush.tint((8, 8, 12), 0.4))
        x, y = brush.rng.uniform(8, 46), brush.rng.uniform(6, 40)
        for radius, level in ((4.0, 26), (2.4, 40), (1.0, 74)):
            brush.ellipse(x - radius, y - radius, x + radius, y + radius, (level, level, level - 10))
    else:
        raise ValueError(f"no such unlocatable picture: {haze!r}")
    return brush.finish()


def to_png(picture: Image.Image) -> bytes:
    """The picture as PNG, without metadata."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


@dataclass
class _Brush:
    """Draws in the scene's units, with the random numbers of one picture."""

    rng: random.Random
    noise: float
    size_px: int
    image: Image.Image
    pen: ImageDraw.ImageDraw
    scale: float

    @classmethod
    def make(cls, seed: int | str, size_px: int, noise: float) -> "_Brush":
        side = size_px * _OVERSAMPLING
        image = Image.new("RGB", (side, side))
        return cls(random.Random(f"scene {seed}"), noise, size_px, image, ImageDraw.Draw(image), side / UNITS)

    def near(self, value: float, spread: float) -> float:
        return value + self.rng.uniform(-spread, spread)

    def tint(self, colour: Colour, strength: float = 1.0) -> Colour:
        """The colour, shifted in lightness and a little in each channel."""
        light = self.rng.gauss(0, self.noise * strength)
        red, green, blue = (_level(c + light + self.rng.gauss(0, self.noise * strength / 2)) for c in colour)
        return red, green, blue

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.pen.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=colour)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.pen.rectangle([x0 * self.scale, y0 * self.scale, x1 * self.scale - 1, y1 * self.scale - 1], fill=colour)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        self.pen.ellipse([x0 * self.scale, y0 * self.scale, x1 * self.scale, y1 * self.scale], fill=colour)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        scaled = [(x * self.scale, y * self.scale) for x, y in points]
        self.pen.line(scaled, fill=colour, width=max(1, round(width * self.scale)), joint="curve")

    def finish(self, light: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image.Image:
        """Average down, then let as much light of each colour through, vary brightness and add pixel noise."""
        small = self.image.resize((self.size_px, self.size_px), Image.Resampling.BOX)
        grain = np.random.default_rng(self.rng.getrandbits(64))
        brightness = np.array(light, dtype=np.float32) * np.float32(self.rng.uniform(0.92, 1.06))
        pixels: np.ndarray = np.asarray(small, dtype=np.float32) * brightness
        pixels += grain.normal(0, self.noise / 2, pixels.shape).astype(np.float32)
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _level(value: float) -> int:
    return int(min(255, max(0, value)))


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (_level(c * factor) for c in colour)
    return red, green, blue


def _gradient(brush: _Brush, y0: float, y1: float, top: Colour, bottom: Colour, steps: int = 14) -> None:
    for step in range(steps):
        part = step / (steps - 1)
        red, green, blue = (_level(a + (b - a) * part) for a, b in zip(top, bottom, strict=True))
        height = (y1 - y0) / steps
        brush.rectangle(0, y0 + step * height, UNITS, y0 + (step + 1) * height + 0.3, (red, green, blue))


def _sky(brush: _Brush, sky: str) -> None:
    top, bottom = SKY[sky]
    _gradient(brush, 0, _HORIZON, brush.tint(top, 0.6), brush.tint(bottom, 0.6))
    if sky == "golden sky":
        x, y = brush.near(28, 5), brush.near(6.5, 1.5)
        brush.ellipse(x - 4, y - 4, x + 4, y + 4, (255, 240, 196))
    else:
        cloud = (248, 250, 252) if sky == "blue sky" else (188, 192, 200)
        for x, y in ((brush.near(20, 4), brush.near(5, 1.5)), (brush.near(38, 4), brush.near(8, 1.5))):
            for dx, dy, radius in ((-3.4, 0.6, 1.7), (0, 0, 2.5), (3.4, 0.7, 1.6)):
                brush.ellipse(x + dx - radius, y + dy - radius, x + dx + radius, y + dy + radius * 0.8, cloud)


def _ground(brush: _Brush, ground: str) -> None:
    base = brush.tint(GROUND[ground])
    brush.rectangle(0, _HORIZON, UNITS, UNITS, base)
    dark, light = _shade(base, 0.86), _shade(base, 1.12)
    rng = brush.rng
    if ground == "water":
        for row in range(7):
            y = _HORIZON + 3 + row * 4
            for column in range(5):
                x = column * 12 + rng.uniform(-3, 3)
                brush.line([(x, y), (x + 2, y - 1), (x + 4, y), (x + 6, y - 1)], light, 0.6)
    elif ground == "cobbles":
        for row in range(8):
            y = _HORIZON + row * 3.5
            brush.line([(0, y), (UNITS, y)], dark, 0.6)
            for column in range(10):
                x = column * 6 + (3 if row % 2 else 0)
                brush.line([(x, y), (x, y + 3.5)], dark, 0.6)
    elif ground == "grass":
        for _ in range(34):
            x, y = rng.uniform(0, UNITS), rng.uniform(_HORIZON + 3, UNITS)
            brush.line([(x - 0.9, y - 2), (x, y), (x + 0.9, y - 2)], dark, 0.5)
    elif ground == "snow":
        for _ in range(7):
            x, y = rng.uniform(-6, 50), rng.uniform(_HORIZON + 1, UNITS)
            brush.ellipse(x, y, x + rng.uniform(8, 16), y + rng.uniform(1.5, 3), (214, 226, 244))
    else:  # sand and red earth: ripples or stones
        for _ in range(22):
            x, y = rng.uniform(0, UNITS), rng.uniform(_HORIZON + 2, UNITS)
            if ground == "sand":
                brush.line([(x, y), (x + 3, y - 0.8), (x + 6, y)], dark, 0.5)
            else:
                brush.ellipse(x, y, x + 1.6, y + 1.1, dark)


def _road(brush: _Brush, road_x: float) -> None:
    asphalt = brush.tint((72, 72, 80), 0.5)
    brush.polygon([(road_x - 2, _HORIZON), (road_x + 2, _HORIZON), (road_x + 17, UNITS), (road_x - 17, UNITS)], asphalt)
    for top, bottom, half in ((30, 33, 0.3), (36, 40, 0.5), (44, 50, 0.8)):
        brush.rectangle(road_x - half, top, road_x + half, bottom, (236, 236, 226))


def _houses(brush: _Brush, roof: str, road_x: float) -> None:
    tiles = brush.tint(ROOF[roof])
    for centre, half in ((road_x - 9.5, 6.6), (road_x + 9.5, 6.6)):
        centre = brush.near(centre, 0.7)
        ridge = brush.near(13.5, 0.8)
        wall = brush.tint((238, 226, 204), 0.6)
        brush.rectangle(centre - half + 1, 22, centre + half - 1, 32, wall)
        brush.polygon(
            [
                (centre - half - 0.8, 23.5),
                (centre - half + 3.2, ridge),
                (centre + half - 3.2, ridge),
                (centre + half + 0.8, 23.5),
            ],
            tiles,
        )
        brush.line([(centre - half - 0.8, 23.5), (centre + half + 0.8, 23.5)], _shade(tiles, 0.7), 0.7)
        for dx in (-3.2, 0.8):
            brush.rectangle(centre + dx, 25.2, centre + dx + 2.4, 28.4, (86, 112, 140))


def _plants(brush: _Brush, plant: str) -> None:
    leaf = brush.tint(PLANT[plant])
    for foot_x, foot_y, size in (
        (brush.near(6.5, 0.8), brush.near(41, 1), 1.0),
        (brush.near(51.5, 0.6), brush.near(52, 0.8), 0.66),
    ):
        _plant(brush, plant, leaf, foot_x, foot_y, size)


def _plant(brush: _Brush, plant: str, leaf: Colour, x: float, y: float, size: float) -> None:
    """One plant standing at (x, y), about 32 units tall at size 1."""

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * size, y - dy * size

    def blob(dx: float, dy: float, rx: float, ry: float, colour: Colour) -> None:
        (left, top), (right, bottom) = at(dx - rx, dy + ry), at(dx + rx, dy - ry)
        brush.ellipse(left, top, right, bottom, colour)

    dark, bark = _shade(leaf, 0.78), (104, 72, 48)
    if plant == "pines":
        brush.polygon([at(-0.9, 0), at(0.9, 0), at(0.9, 6), at(-0.9, 6)], bark)
        for low, half, tall in ((4.0, 6.4, 11.0), (11.0, 5.2, 10.0), (18.0, 3.9, 11.0)):
            brush.polygon([at(-half, low), at(half, low), at(0, low + tall)], leaf)
            brush.line([at(-half, low), at(half, low)], dark, 0.6)
    elif plant == "oaks":
        brush.polygon([at(-1.3, 0), at(1.3, 0), at(0.9, 14), at(-0.9, 14)], bark)
        for dx, dy, radius in ((-2.8, 15, 4.4), (2.8, 15.5, 4.4), (0, 20.5, 5.2)):
            blob(dx, dy, radius, radius, leaf)
        blob(1.5, 18, 2, 2, dark)
    elif plant == "poplars":
        brush.polygon([at(-0.8, 0), at(0.8, 0), at(0.8, 6), at(-0.8, 6)], bark)
        for dx, tall in ((-3.6, 12.5), (3.4, 11.5)):
            brush.polygon([at(dx - 0.5, 0), at(dx + 0.5, 0), at(dx + 0.5, 6), at(dx - 0.5, 6)], bark)
            blob(dx, 4 + tall, 2.6, tall, leaf)
            blob(dx + 0.7, 4 + tall, 0.8, tall * 0.8, dark)
    elif plant == "palms":
        brush.line([at(-1, 0), at(0.4, 10), at(0, 22)], (150, 112, 70), 1.9 * size)
        for dx, dy in ((-7.5, -1), (7.5, -1), (-6.5, 4.5), (6.5, 4.5), (-3.5, -5.5), (3.5, -5.5), (0, 7)):
            brush.line([at(0, 22), at(dx * 0.6, 22 + dy * 0.7 + 2), at(dx, 22 + dy)], leaf, 2.4 * size)
        blob(0, 22, 1.4, 1.4, dark)
    else:
        for dx, low, high in ((0.0, 0.0, 27.0), (-5.0, 9.0, 19.0), (5.0, 12.0, 23.0)):
            blob(dx, high, 1.9, 1.9, leaf)
            brush.polygon([at(dx - 1.9, low), at(dx + 1.9, low), at(dx + 1.9, high), at(dx - 1.9, high)], leaf)
            brush.line([at(dx, low), at(dx, high)], dark, 0.6 * size)
        for dx, low in ((-5.0, 9.0), (5.0, 12.0)):
            brush.polygon(
                [at(min(dx, 0), low - 1.6), at(max(dx, 0), low - 1.6), at(max(dx, 0), low + 2), at(min(dx, 0), low + 2)], leaf
            )
            blob(dx, low, 1.9, 1.7, leaf)


def _sign(brush: _Brush, sign: str) -> None:
    board = brush.tint(SIGN[sign], 0.7)
    x, y = brush.near(49.5, 0.8), brush.near(15, 0.8)
    brush.rectangle(x - 0.7, y, x + 0.7, 37, (90, 92, 98))
    brush.rectangle(x - 6.2, y - 5.6, x + 6.2, y + 5.6, (40, 40, 44))
    brush.rectangle(x - 5.5, y - 4.9, x + 5.5, y + 4.9, board)
    ink = (30, 30, 34) if sign in ("yellow signs", "white signs") else (244, 244, 244)
    brush.line([(x - 2.5, y), (x + 2.5, y)], ink, 1.1)
    brush.polygon([(x + 1.2, y - 2.2), (x + 4, y), (x + 1.2, y + 2.2)], ink)


def _car(brush: _Brush, traffic: str, road_x: float) -> None:
    """Seen from behind, driving away from us."""
    body = brush.tint((228, 40, 120), 0.8)
    x = road_x + brush.near(7.2, 0.6) * (-1 if traffic == "left traffic" else 1)
    y = brush.near(46.5, 0.6)
    for dx in (-5.0, 3.0):
        brush.rectangle(x + dx, y + 3, x + dx + 2, y + 6.4, (20, 20, 22))
    brush.polygon([(x - 4.2, y - 5.4), (x + 4.2, y - 5.4), (x + 5.4, y), (x - 5.4, y)], body)
    brush.polygon([(x - 3.2, y - 4.5), (x + 3.2, y - 4.5), (x + 4.0, y - 1.0), (x - 4.0, y - 1.0)], (52, 66, 84))
    brush.rectangle(x - 5.8, y, x + 5.8, y + 4.8, body)
    for dx in (-5.2, 3.2):
        brush.rectangle(x + dx, y + 0.8, x + dx + 2.0, y + 2.6, (150, 0, 20))
    brush.rectangle(x - 1.8, y + 1.8, x + 1.8, y + 3.6, (246, 246, 240))
