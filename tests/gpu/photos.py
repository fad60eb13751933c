"""The toy world's pictures in the size of photos, as rows that the training stages export."""

from collections.abc import Iterator
from io import BytesIO
from itertools import cycle, islice

from globe.data.rows import Row
from globe.demo.draw import draw_scene
from globe.demo.places import all_cities


def photos(count: int, width: int, height: int) -> Iterator[Row]:
    """Rows with a verdict and a text, so that each stage can learn from them.

    Args:
        count: How many.
        width: Of a picture in pixels.
        height: The same.
    """
    for index, city in enumerate(islice(cycle(all_cities()), count)):
        picture = BytesIO()
        draw_scene(city, index, max(width, height)).resize((width, height)).save(picture, "PNG")
        yield Row(
            id=f"photo-{index}",
            image=picture.getvalue(),
            lat_deg=city.lat_deg,
            lon_deg=city.lon_deg,
            country=city.country,
            city=city.name,
            split="train",
            reasoning=city.reasoning,
            entities=list(city.cues),
            localizable=index % 2 == 0,
        )
