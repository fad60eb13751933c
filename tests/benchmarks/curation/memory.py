"""How much more memory the merge of a curation takes for ten times as many rows.

    python tests/benchmarks/curation/memory.py [ROWS MORE_ROWS]

The parts are made up: pictures of a few bytes, since the merge never decodes one, and replies of three teachers about 2,000
cities in a vocabulary of 300 elements. That is a simulation of what annotators bring; the merge is the real one, with recipe
mp16, which is the one for millions of pictures, in a process of its own for each number of rows.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from globe.curation.guard.facts import FACTS_NAME, facts_of, write_facts
from globe.curation.merge import About, merge_parts
from globe.curation.parts import ASKED_NAME, PICTURES_NAME, READ_NAME, REFUSED_NAME, PartFiles
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.questions import picture_key
from globe.curation.teachers.replies import REPLIES_NAME, CoordinateReply, Record, VlmReply
from globe.curation.teachers.teacher import Teacher
from globe.data.parts import parts_of
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.files import file_sha256, write_json
from globe.geo.gazetteer import gazetteer
from globe.recipes.load import load_recipe

ROWS, MORE_ROWS = 100_000, 1_000_000
QUICK = {"rows": 20_000, "more_rows": 40_000}
CITIES, ELEMENTS = 2_000, 300
TEACHERS = [Teacher.parse(spec) for spec in ("a@http://x/v1", "b@http://x/v1", "coordinates:c@http://x/v1")]
RECIPE = load_recipe(CurationRecipe, "curation", "mp16")


@dataclass(frozen=True)
class City:
    """Where made-up pictures are taken."""

    name: str
    country: str
    lat_deg: float
    lon_deg: float


def cities() -> list[City]:
    """Random cities of the gazetteer."""
    places, rng = gazetteer(), random.Random(0)
    found = (places.place(rng.randrange(len(places))) for _ in range(CITIES))
    return [City(one.name, places.countries[one.country_code]["name"], one.lat_deg, one.lon_deg) for one in found]


def make_parts(folder: Path, rows: int) -> None:
    """Write what annotators would bring of so many rows."""
    towns, rng = cities(), random.Random(1)
    for index, first in enumerate(range(0, rows, RECIPE.part_rows)):
        files = files_in(folder, index)
        files.read.mkdir(parents=True)
        made = [make_row(number, rng.choice(towns)) for number in range(first, min(first + RECIPE.part_rows, rows))]
        write_dataset(files.data, made)
        write_facts(files.read / FACTS_NAME, map(facts_of, made))
        (files.read / REFUSED_NAME).write_text("")
        digests = {row.id: facts_of(row).sha256 for row in made}
        with (files.asked / REPLIES_NAME).open("w", encoding="utf-8") as journal:
            for row in made:
                for record in replies(row, digests[row.id], rng):
                    journal.write(record.model_dump_json(exclude_defaults=True) + "\n")
        shown = {row_id: digest.hex() for row_id, digest in digests.items()}
        write_json(files.asked / PICTURES_NAME, {"digests": shown, "quarantined": {}})
        journal_sha256 = file_sha256(files.asked / REPLIES_NAME)
        write_json(files.asked / ASKED_NAME, {"question": {}, "unanswered": 0, "journal_sha256": journal_sha256})
        write_json(files.read / READ_NAME, {"listed": len(made), "lost": {}})


def make_row(number: int, city: City) -> Row:
    """A picture of which one in 1,000 has come before."""
    image = f"picture {number - 1 if number % 1000 == 999 else number}".encode()
    place = {"lat_deg": city.lat_deg, "lon_deg": city.lon_deg, "country": city.country, "city": city.name}
    return Row(id=f"{number:09d}.jpg", image=image, split="train", **place)


def replies(row: Row, digest: bytes, rng: random.Random) -> Iterator[Record]:
    """What three teachers say: mostly right, with what they see out of the vocabulary."""
    seen = [f"thing{rng.randrange(ELEMENTS)} sign" for _ in range(6)]
    for teacher in TEACHERS:
        about = {"id": row.id, "teacher": teacher.model, "key": picture_key(teacher, digest), "status": "ok", "attempts": 1}
        if teacher.kind == "coordinates":
            at = CoordinateReply(lat_deg=row.lat_deg, lon_deg=row.lon_deg, confidence=rng.random())
            yield Record(coordinates=at, **about)
            continue
        named = seen[: rng.randrange(1, 6)]
        place = {"country": row.country, "city": row.city if rng.random() < 0.8 else ""}
        text = f"There is a {', a '.join(named)}, as in {row.city}."
        judged = VlmReply(localizable=rng.random() < 0.9, score=rng.random(), reasoning=text, elements=seen, **place)
        yield Record(vlm=judged, **about)


def files_in(folder: Path, index: int) -> PartFiles:
    """Where a made-up part lies."""
    part = folder / f"{index:05d}"
    return PartFiles(part / "source", part, part)


def peak_mb(rows: int) -> float:
    """Peak resident memory of a process that merges so many rows, in MB."""
    with tempfile.TemporaryDirectory() as name:
        # Made in a process of its own too: a child's peak starts with what its parent has at the fork.
        for step in ("make", "merge"):
            command = [sys.executable, __file__, step, name, str(rows)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return float(done.stdout)


def figures(rows: int = ROWS, more_rows: int = MORE_ROWS) -> dict[str, float]:
    """`memory_growth`: the merge's peak memory with more rows over that with few."""
    few, many = peak_mb(rows), peak_mb(more_rows)
    return {"memory_growth": round(many / few, 3), "merge_mb": round(many, 1)}


def merge(folder: Path, rows: int) -> None:
    """Merge, and print the peak memory of this process."""
    parts = [files_in(folder, part.index) for part in parts_of(rows, RECIPE.part_rows)]
    result = merge_parts(About("made up"), parts, folder / "out", TEACHERS, RECIPE, lambda *_: None)
    assert result["in"] == rows, result
    assert result["quarantined"].get("duplicate_picture", 0) == rows // 1000, result
    assert result["kept"] > rows / 10, result
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make_parts(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["merge"]:
        merge(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        print(json.dumps(figures(*map(int, sys.argv[1:3]))))
