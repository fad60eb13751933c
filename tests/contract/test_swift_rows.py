"""The rows that `globe rows` writes, read by the installed ms-swift's own loader, in a process of its own."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.training.rows import SETS
from globe.training.rows_by_hand import ROWS_FILE, write_rows

LOAD = """
import json, sys

from swift.dataset import load_dataset

loaded = {}
for path in sys.argv[1:]:
    rows, _ = load_dataset(path, split_dataset_ratio=0.0, num_proc=1, remove_unused_columns=False)
    loaded[path] = [dict(row) for row in rows]
print("\\n@@" + json.dumps(loaded))
"""


def row(number: int) -> Row:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, ("PNG", "JPEG", "WEBP")[number % 3])
    place: dict[str, Any] = {"country": "Türkiye", "city": f'"City" {number}', "lat_deg": 1.0, "lon_deg": 2.0, "split": "train"}
    told: dict[str, Any] = {"reasoning": f"roofs\n{number}", "entities": ["red roofs"], "localizable": number % 4 != 0}
    return Row(id=f"../{number}/ü", image=file.getvalue(), **place, **told)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rows")
    for stage, name in SETS.items():
        write_dataset(folder / "curated" / name, [row(number) for number in range(12)])
        write_rows(stage, str(folder / "curated"), folder / stage)
    return {stage: folder / stage / ROWS_FILE for stage in SETS}


@pytest.fixture(scope="module")
def loaded(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    pytest.importorskip("swift", reason="needs the train extra")
    home = tmp_path_factory.mktemp("home")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "USE_HF": "1", "HF_HOME": str(home)}
    child = subprocess.run(
        [sys.executable, "-c", LOAD, *map(str, files.values())],
        capture_output=True, text=True, env=os.environ | offline, cwd=home, timeout=540,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr[-2000:]
    found = json.loads(child.stdout.rpartition("\n@@")[2])
    return {stage: found[str(path)] for stage, path in files.items()}


@pytest.mark.parametrize("stage", sorted(SETS))
def test_ms_swift_reads_every_row_with_its_words_its_picture_and_its_truth(
    stage: str, files: dict[str, Path], loaded: dict[str, list[dict[str, Any]]]
) -> None:
    lines = [json.loads(line) for line in files[stage].read_text(encoding="utf-8").splitlines()]
    assert len(loaded[stage]) == len(lines) >= 12
    for found, line in zip(loaded[stage], lines, strict=True):
        turns = [(turn["role"], turn["content"]) for turn in found["messages"]]
        assert turns == [(turn["role"], turn["content"]) for turn in line["messages"]]
        assert [picture["path"] for picture in found["images"]] == line["images"]
        assert found.get("row") == line.get("row")
        with Image.open(line["images"][0]) as picture:
            picture.load()
    assert ("row" in lines[0]) == (stage == "grpo")
