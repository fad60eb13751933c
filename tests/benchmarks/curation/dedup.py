"""Near-duplicate search: a million perceptual hashes among each other on one core, and what a radius finds of changed photos.

``python tests/benchmarks/curation/dedup.py [--json]``. The million is made up, for no such number of photos is at hand. Its bits
are as often set as in generated photos, half of each hash as pHash has it, and three in ten pictures belong to bursts of 2 to 30,
whose hashes differ in 0 to about 12 bits. ``dedup_1m_s`` is processor time of building the index and of looking all of them up in
it; what was found for some of them is held against all pairs, so a figure is only printed of a search that missed nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import faiss
import numpy as np
import psutil
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "components"), str(ROOT / "tests" / "unit" / "shared")]

from generated_photos import jpeg, photo  # noqa: E402

from globe.curation.guard.near_duplicates import HASH_BITS, NearDuplicates, perceptual_hash  # noqa: E402

TARGET_S = 120
ROWS = 1_000_000
QUICK = {"rows": 100_000}
BITS = 6
"""As recipes/curation/mp16.yaml has it; the table below says why."""
BATCH_ROWS = 100_000
COMPARED = 300
PHOTOS = 100
RADII = (0, 2, 4, 6, 8, 10, 12)
Change = Callable[[Image.Image], bytes]


def dedup_1m(rows: int = ROWS, bits: int = BITS) -> dict[str, float]:
    """Seconds on one core, matches of a hash with another one, and MB that the index and all matches take."""
    faiss.omp_set_num_threads(1)
    hashes = made_up_hashes(rows)
    before_bytes = psutil.Process().memory_info().rss
    start = time.process_time()
    index = NearDuplicates(hashes, bits)
    found = [index.within(hashes[first : first + BATCH_ROWS]) for first in range(0, rows, BATCH_ROWS)]
    seconds = time.process_time() - start
    taken_bytes = psutil.Process().memory_info().rss - before_bytes
    _check(hashes, found, bits)
    matches = sum(len(queries) for queries, _, _ in found) - rows  # each finds its own hash
    return {"dedup_1m_s": seconds, "dedup_1m_matches": matches, "dedup_1m_mb": taken_bytes / 2**20}


def _check(hashes: np.ndarray, found: list[tuple[np.ndarray, ...]], bits: int) -> None:
    """Compare what was found of some hashes with all pairs; of equal ones the first stands for all."""
    first = np.unique(hashes, return_index=True)[1]
    for number in np.random.default_rng(1).choice(len(hashes), COMPARED, replace=False):
        queries, given, _ = found[number // BATCH_ROWS]
        got = set(given[queries == number % BATCH_ROWS].tolist())
        near = np.bitwise_count(hashes[first] ^ hashes[number]) <= bits
        assert got == set(first[near].tolist()), f"hash {number}: found {len(got)} of {near.sum()}"


def made_up_hashes(rows: int) -> np.ndarray:
    """Hashes with the statistics of photos': see the module."""
    rng = np.random.default_rng(0)
    shares = np.mean([_signs(perceptual_hash(jpeg(photo(number)))) for number in range(PHOTOS)], axis=0)
    means = np.array([NormalDist().inv_cdf(share) for share in np.clip(shares, 0.02, 0.98)], np.float32)
    singles = int(rows * 0.7)
    sizes = np.minimum(rng.geometric(0.25, rows) + 1, 30)
    bursts = np.repeat(np.arange(rows), sizes)[: rows - singles]
    hashes = np.empty(rows, np.uint64)
    for first in range(0, rows, BATCH_ROWS):
        count = min(BATCH_ROWS, rows - first)
        coefficients = means + rng.standard_normal((count, HASH_BITS), np.float32)
        of_burst = bursts[max(0, first - singles) : max(0, first + count - singles)]
        if len(of_burst):
            shared = {burst: means + np.random.default_rng(burst).standard_normal(HASH_BITS) for burst in np.unique(of_burst)}
            moved = rng.standard_normal((len(of_burst), HASH_BITS)) * rng.uniform(0, 0.25, (len(of_burst), 1))
            coefficients[-len(of_burst) :] = np.stack([shared[burst] for burst in of_burst]) + moved
        signs = coefficients > np.median(coefficients, axis=1, keepdims=True)
        hashes[first : first + count] = np.packbits(signs, axis=1).view(">u8")[:, 0]
    return rng.permutation(hashes)


def _signs(value: int | None) -> list[int]:
    assert value is not None
    return [value >> bit & 1 for bit in reversed(range(HASH_BITS))]


def changes() -> dict[str, Change]:
    """What happens to photos on the web, by name."""

    def cropped(share: float) -> Change:
        def crop(picture: Image.Image) -> bytes:
            width, height = picture.size
            dx, dy = width * share / 2, height * share / 2
            return jpeg(picture.crop((round(dx), round(dy), round(width - dx), round(height - dy))))

        return crop

    def marked(picture: Image.Image) -> bytes:
        picture = picture.copy()
        width, height = picture.size
        ImageDraw.Draw(picture).rectangle((width * 0.6, height * 0.92, width * 0.98, height * 0.98), "white")
        return jpeg(picture)

    return {
        "saved again, quality 20": lambda picture: jpeg(picture, 20),
        "240 pixels wide": lambda picture: jpeg(picture.resize((240, 180))),
        "20% brighter": lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(1.2)),
        "30% darker": lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(0.7)),
        "30% more contrast": lambda picture: jpeg(ImageEnhance.Contrast(picture).enhance(1.3)),
        "grey": lambda picture: jpeg(ImageOps.grayscale(picture)),
        "blurred, 2 pixels": lambda picture: jpeg(picture.filter(ImageFilter.GaussianBlur(2))),
        "turned by 1 degree": lambda picture: jpeg(picture.rotate(1, Image.Resampling.BICUBIC)),
        "cropped by 2%": cropped(0.02),
        "cropped by 5%": cropped(0.05),
        "cropped by 10%": cropped(0.10),
        "white mark in a corner": marked,
        "frame of 3%": lambda picture: jpeg(ImageOps.expand(picture, round(0.03 * picture.width))),
        "mirrored": lambda picture: jpeg(ImageOps.mirror(picture)),
    }


def shares_found(count: int = PHOTOS) -> dict[str, list[float]]:
    """Share of changed photos within each radius of the original; and of all pairs of different ones."""
    pictures = [photo(number) for number in range(count)]
    hashes = np.array([perceptual_hash(jpeg(picture)) for picture in pictures], np.uint64)
    found = {}
    for name, change in changes().items():
        bits = np.bitwise_count(hashes ^ np.array([perceptual_hash(change(picture)) for picture in pictures], np.uint64))
        found[name] = [float((bits <= radius).mean()) for radius in RADII]
    one, other = np.triu_indices(count, 1)
    bits = np.bitwise_count(hashes[one] ^ hashes[other])
    found["another photo"] = [float((bits <= radius).mean()) for radius in RADII]
    return found


def hashed_per_s(count: int = PHOTOS) -> float:
    """Photos of 640 x 480 that are hashed in a second on one core, their decoding included."""
    files = [jpeg(photo(number)) for number in range(count)]
    start = time.process_time()
    for data in files:
        perceptual_hash(data)
    return count / (time.process_time() - start)


def figures(rows: int = ROWS) -> dict[str, float]:
    """What is claimed."""
    return {"dedup_1m_s": round(dedup_1m(rows)["dedup_1m_s"], 1)}


def main() -> None:
    """Print the table, or the figures as JSON."""
    if "--json" in sys.argv:
        print(json.dumps({"name": "dedup", "figures": figures()}))
        return
    print(f"{'bits':26}" + "".join(f"{radius:>7}" for radius in RADII))
    for name, shares in shares_found().items():
        print(f"{name:26}" + "".join(f"{share:7.0%}" for share in shares))
    print(f"\nhashed, one core: {hashed_per_s():.0f} photos/s of 640 x 480")
    got = dedup_1m()
    print(f"{ROWS:,} against {ROWS:,} within {BITS} bits: {got['dedup_1m_s']:.0f} s on one core (at most {TARGET_S})")
    print(f"{got['dedup_1m_matches']:,.0f} matches, {got['dedup_1m_mb']:.0f} MB for the index and what it found")


if __name__ == "__main__":
    main()
