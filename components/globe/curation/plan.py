"""What a curation would need, told before it starts: requests, tokens, GPU hours, storage. Nobody is asked, nothing is written.

Rows are counted as the source lists them. How many of them can be used, and how large the pictures are, is seen from the first
few; the rest is arithmetic with the assumptions that the plan names.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from globe.curation.guard.facts import test_sets_of
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.asking import as_sent
from globe.curation.teachers.questions import PROMPT
from globe.curation.teachers.teacher import Teacher, check_teachers, join_replicas
from globe.data.named import Given, given_path
from globe.data.parts import Part, parts_of
from globe.data.sources import SourceReport, count_listed, read_source
from globe.training.image_tokens import image_tokens
from globe.training.model_parts import INTERNVL, QWEN
from globe.training.shapes import USUAL, model_shape

SAMPLE_ROWS = 200
REPLY_TOKENS = 250
"""Of a teacher's JSON: two sentences and a dozen elements."""
CHARS_A_TOKEN = 4
MAX_PIXELS = 12_845_056
"""To which Qwen2.5-VL's own preprocessor_config.json scales larger pictures; a server may be started with less."""
JOURNAL_BYTES = 1024
"""Of a reply's line in the journal."""
COPIES = 3
"""A picture is in the GRPO pool or in the test set, and may be in the SFT and the reward model's set too."""


@dataclass
class Sample:
    """The first rows of a source.

    Attributes:
        rows: How many.
        sizes: Width and height in pixels of the usable ones' pictures, as they are sent.
        stored_bytes: Of their pictures, as they are stored.
        quarantined: Why others cannot be used.
    """

    rows: int
    sizes: list[tuple[int, int]]
    stored_bytes: int
    quarantined: dict[str, int]


def plan_curation(source: Path | Given, teachers: list[Teacher], recipe: CurationRecipe) -> dict[str, Any]:
    """Say what a curation would need.

    Args:
        source: As `globe.curation.curate.curate` takes it; so are the others.
        teachers: Whom it would ask.
        recipe: How.

    Returns:
        `in` rows; `usable` ones, expected from the `sampled` first rows, whose `quarantined` are counted by reason, and may
        be `max_unusable_percent` at most (None: any); `parts`; `calls`, `tokens` (prompt, picture, reply) and `gpu_hours` by
        teacher; `storage_bytes`; and the `assumptions`.

    Raises:
        InputError: As `curate`, for source, teachers and test sets.
    """
    check_teachers(teachers, recipe)
    teachers = join_replicas(teachers)
    test_sets_of(recipe)
    given = source if isinstance(source, Given) else given_path(source)
    rows = count_listed(given)
    sample = sampled(given, recipe)
    usable = round(rows * len(sample.sizes) / sample.rows) if sample.rows else 0
    tokens = {teacher.spec: _tokens(teacher, usable, sample) for teacher in teachers if teacher.kind == "vlm"}
    picture_bytes = sample.stored_bytes / max(1, len(sample.sizes))
    parts = len(parts_of(rows, recipe.part_rows))
    in_place = given.is_dataset and parts == 1
    vlms = sum(teacher.kind == "vlm" for teacher in teachers)
    pairs = vlms * (vlms - 1) // 2  # of reasonings that an alignment model compares, at most
    return {
        "in": rows,
        "usable": usable,
        "sampled": sample.rows,
        "quarantined": sample.quarantined,
        "max_unusable_percent": None if given.is_dataset else recipe.max_unusable_percent,
        "parts": parts,
        "calls": {teacher.spec: usable if teacher.looks else usable * pairs for teacher in teachers},
        "tokens": tokens,
        "gpu_hours": {spec: round(sum(one.values()) / recipe.gpu_tokens_per_s / 3600, 1) for spec, one in tokens.items()},
        "storage_bytes": {
            "parts": 0 if in_place else round(usable * picture_bytes),
            "sets_at_most": round(COPIES * usable * picture_bytes),
            "replies": usable * len(teachers) * JOURNAL_BYTES,
        },
        "assumptions": _assumptions(rows, parts, sample, recipe),
    }


def sampled(given: Given, recipe: CurationRecipe) -> Sample:
    """Read the first rows of a source, and see what would be sent."""
    report, sizes, stored = SourceReport(), [], 0
    for row in read_source(given, report, part=Part(0, SAMPLE_ROWS)):
        sent = as_sent(row, recipe.max_side_px)
        if isinstance(sent, str):
            report.refuse(sent, row.id)
            continue
        with Image.open(io.BytesIO(sent)) as picture:
            sizes.append(picture.size)
        stored += len(row.image)
    return Sample(report.read, sizes, stored, {reason: len(ids) for reason, ids in report.quarantined.items()})


def _tokens(teacher: Teacher, usable: int, sample: Sample) -> dict[str, int]:
    """Tokens that a VLM reads and writes about all usable pictures."""
    vision = model_shape(USUAL[INTERNVL if "internvl" in teacher.model.lower() else QWEN]).vision
    pictures = [image_tokens(vision, width, height, MAX_PIXELS) for width, height in sample.sizes]
    return {
        "prompt": usable * (len(PROMPT) // CHARS_A_TOKEN),
        "picture": round(usable * sum(pictures) / max(1, len(pictures))),
        "reply": usable * REPLY_TOKENS,
    }


def _assumptions(rows: int, parts: int, sample: Sample, recipe: CurationRecipe) -> list[str]:
    seen = (
        "every row was read" if sample.rows >= rows else f"the first {sample.rows} rows stand for all: usable ones, sizes, bytes"
    )
    once = "no picture lies in two parts: it would be asked about in each, and used once"
    return [
        seen,
        *([once] if parts > 1 else []),
        f"pictures of at most {recipe.max_side_px} px become tokens as in Qwen2.5-VL, or as in InternVL3 if it is named so",
        f"{CHARS_A_TOKEN} characters of the prompt a token, {REPLY_TOKENS} tokens a reply, no retries",
        f"a GPU reads and writes {recipe.gpu_tokens_per_s:g} tokens a second (--set gpu_tokens_per_s=N: measure your server)",
        f"sets hold a picture {COPIES} times at most; a reply takes {JOURNAL_BYTES} bytes",
    ]
