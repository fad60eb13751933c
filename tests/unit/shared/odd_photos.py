"""A table of small photos as people have them: some lost, some twice, some under one name; and what teachers say of them."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from PIL import Image

PLACES = ((41.9, 12.5, "Italy", "Rome"), (48.85, 2.35, "France", "Paris"))


def write_odd_photos(folder: Path, rows: int) -> Path:
    """Write a table and its pictures: every 10th file is missing or broken, every 11th picture and every 13th id came before."""
    folder.mkdir(parents=True)
    table = folder / "photos.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "lat", "lon", "country", "city"])
        for number in range(rows):
            name, row_id = f"{number}.png", f"photo {number}"
            if number % 10 == 9:
                if number % 20 == 9:
                    (folder / name).write_bytes(b"\x89PNG broken")
            else:
                shade = number - 1 if number % 11 == 10 else number
                Image.new("RGB", (24, 18), (shade % 256, 7 * shade % 256, shade // 256)).save(folder / name)
            if number % 13 == 12:
                row_id = f"photo {number - 12}"
            lat, lon, country, city = PLACES[number % 3 == 2]
            writer.writerow([row_id, name, "" if number % 17 == 16 else lat, lon, country, city])
    return table


def reply_about(model: str, picture: bytes) -> dict[str, Any]:
    """What a teacher says of a picture: always the same, and of every fifth that nobody could tell."""
    digest = hashlib.sha256(picture).digest()
    seen = ["cobbles", "poplars", "red roofs"][: 1 + digest[1] % 3]
    return {
        "localizable": digest[0] % 5 > 0,
        "score": 0.9 if model == "a" else 0.8,
        "country": "Italy",
        "city": "Rome",
        "reasoning": ", ".join(seen) if digest[2] % 4 or model == "a" else "cobbles and a fountain",
        "elements": [*seen, "fountain"] if digest[2] % 4 == 0 and model == "b" else seen,
    }
