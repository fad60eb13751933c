"""Photos per second of one core, from JPEG files and a table to a dataset's shards.

The photos are drawn: noise whose strength falls with its spatial frequency about as in photographs, saved as cameras do, at
quality 90 with a thumbnail's worth of EXIF. So they are of a photograph's size (about 115 KB), and as much work to decode.
"""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from globe.data.shards import write_dataset
from globe.data.sources import SourceReport, read_source
from globe.geo.gazetteer import gazetteer

WIDTH_PX, HEIGHT_PX, PHOTOS, SEED = 640, 480, 400, 0
CAMERA_QUALITY = 90
QUICK: dict[str, int] = {}
STEEPNESS = 1.2
"""Of the fall over frequency; 1 is usual for photographs, whose edges make them easier to encode than noise is."""


def figures() -> dict[str, float]:
    """`ingest_photos_per_s`: listed in a table, decoded, checked, placed, encoded anew and written, by one core's time."""
    with tempfile.TemporaryDirectory() as name:
        table = _photos(Path(name) / "photos")
        _ingest(table, Path(name) / "warm")  # the gazetteer and the libraries are loaded once for any number of photos
        report = SourceReport()
        started_s = time.process_time()
        _ingest(table, Path(name) / "data", report)
        spent_s = time.process_time() - started_s
    assert report.refused == 0, report.quarantined
    return {"ingest_photos_per_s": PHOTOS / spent_s}


def _ingest(table: Path, folder: Path, report: SourceReport | None = None) -> None:
    assert write_dataset(folder, read_source(table, report)).rows == PHOTOS


def _photos(folder: Path) -> Path:
    folder.mkdir()
    random = np.random.default_rng(SEED)
    towns = list(gazetteer())
    lines = ["IMG_ID,LAT,LON"]
    for number in range(PHOTOS):
        name = f"{number // 100:02x}_{number}.jpg"
        (folder / name).write_bytes(_jpeg(random))
        town = towns[random.integers(len(towns))]
        lines.append(f"{name},{town.lat_deg:.5f},{town.lon_deg:.5f}")
    table = folder / "photos.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def _jpeg(random: np.random.Generator) -> bytes:
    light, *tints = (_noise(random) for _ in range(4))
    channels = [120 + 50 * light + 15 * tint for tint in tints]
    exif = Image.Exif()
    exif[0x010F] = "x" * 4000  # the maker's notes and the thumbnail of a real one
    out = io.BytesIO()
    pixels = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(out, "JPEG", quality=CAMERA_QUALITY, exif=exif)
    return out.getvalue()


def _noise(random: np.random.Generator) -> np.ndarray:
    """HEIGHT_PX x WIDTH_PX values of mean 0 and deviation 1."""
    height, width = np.fft.fftfreq(HEIGHT_PX)[:, None], np.fft.rfftfreq(WIDTH_PX)[None]
    frequency = np.maximum(np.hypot(height, width), 1 / WIDTH_PX)
    phases = random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)
    noise = np.fft.irfft2(phases / frequency**STEEPNESS, s=(HEIGHT_PX, WIDTH_PX))
    scaled: np.ndarray = (noise - noise.mean()) / noise.std()
    return scaled


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name} {value:.1f}")
