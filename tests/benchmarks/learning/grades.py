"""Training data of three grades, made of one curation: what its teachers said as it stands, one teacher checked, all rules.

The paper's ablation of its distillation data compares such grades. All three are of the same pictures and replies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.verify import is_true_place
from globe.curation.teachers.replies import REPLIES_NAME, Record
from globe.data.rows import Row
from globe.data.shards import MANIFEST_NAME, read_dataset, write_dataset
from globe.demo.teachers import VLM_MODELS
from globe.geo.verdict import Truth

RAW, SINGLE, VERIFIED = "raw", "single", "verified"
GRADES = {
    RAW: "every reply of both VLM teachers that names a place, as it stands; the place to learn is the teacher's",
    SINGLE: "one VLM teacher's replies whose place is the recorded one; nobody checks its reasoning",
    VERIFIED: "what curation keeps: the place is the recorded one, and another teacher confirms place and reasoning",
}


def graded(grade: str, source: Path, curated: Path, recipe: CurationRecipe, folder: Path) -> Path:
    """The folder whose `sft` holds the training rows of a grade.

    Args:
        grade: One of `GRADES`.
        source: The toy world.
        curated: What curation made of it, with the teachers' replies.
        recipe: Curation's recipe.
        folder: Where rows that curation has not written go; rows that are there already are taken.
    """
    if grade == VERIFIED:
        return curated
    if not (folder / "sft" / MANIFEST_NAME).is_file():
        write_dataset(folder / "sft", _rows(grade, source, curated, recipe))
    return folder


def _rows(grade: str, source: Path, curated: Path, recipe: CurationRecipe) -> Iterator[Row]:
    lines = (curated / REPLIES_NAME).read_text(encoding="utf-8").splitlines()
    records = {(record.id, record.teacher): record for record in map(Record.model_validate_json, lines)}
    for row in read_dataset(source):
        for teacher in VLM_MODELS if grade == RAW else VLM_MODELS[:1]:
            record = records.get((row.id, teacher))
            reply = record.vlm if record else None
            if row.split != "train" or not reply or not reply.localizable:
                continue
            if grade == RAW or is_true_place(reply.country, reply.city, _truth(row), recipe.agree_km):
                said = {"country": reply.country, "city": reply.city} if grade == RAW else {}
                own = {"id": f"{row.id} {teacher}", "reasoning": reply.reasoning, "provenance": {"reasoning": teacher}}
                yield row.model_copy(update=said | own)


def _truth(row: Row) -> Truth:
    return Truth(row.country, row.city, row.lat_deg, row.lon_deg)
