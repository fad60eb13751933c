"""The rows that people get for their own ms-swift are those that the stages train on.

tests/contract/test_swift_rows.py gives them to ms-swift's own loader.
"""

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.errors import GlobeError, InputError
from globe.models.checkpoints import Checkpoint
from globe.recipes.load import load_recipe
from globe.run.stages import RECIPES
from globe.training.grpo import grpo
from globe.training.reward_model import reward_model
from globe.training.rows import SETS
from globe.training.rows_by_hand import ROWS_FILE, write_rows
from globe.training.sft import sft

BASE = Checkpoint("/m", "/m/globe-checkpoint.json", "b", "", "", 0, {"model.safetensors": "0"})
PROMPT = "Which town is it?"
STAGES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "sft": (sft, {"base_model": BASE}),
    "reward_model": (reward_model, {"base_model": BASE}),
    "grpo": (grpo, {"policy": BASE, "judge": None, "reward_url": ""}),
}


def row(number: int, **more: Any) -> Row:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(file, ("PNG", "JPEG", "WEBP")[number % 3])
    place = {"country": "Türkiye", "city": f'"City" {number}', "lat_deg": 1.0, "lon_deg": 2.0}
    common = {"split": "train", "reasoning": f"roofs\n{number}", "entities": ["red roofs"], "localizable": number % 4 != 0}
    return Row(id=f"../{number}/ü", image=file.getvalue(), **place | common | more)


@pytest.fixture
def curated(tmp_path: Path) -> Path:
    folder = tmp_path / "curated"
    for name in SETS.values():
        rows = [row(number) for number in range(12)]
        held_out = [row(number, split="test") for number in range(12, 15)] if name == "reward_model" else []
        write_dataset(folder / name, [*rows, *held_out])
    return folder


def rows_of_the_stage(stage: str, curated: Path, store: Path, prompt: str) -> str:
    """What the stage itself writes before it finds that its model is not there."""
    run, more = STAGES[stage]
    recipe = load_recipe(RECIPES[stage], stage, "demo", {"prompt": prompt} if prompt else {})
    with pytest.raises(GlobeError, match=r"/m/model\.safetensors: is not the file"):
        run(data=curated, recipe_name="demo", recipe=recipe, store=store, **more)
    (path,) = store.glob(f"{stage}/*/data/train.jsonl")
    return path.read_text(encoding="utf-8").replace(str(path.parent.resolve()), "HERE")


@pytest.mark.parametrize(
    ("stage", "prompt"), [("sft", ""), ("sft", PROMPT), ("grpo", ""), ("grpo", PROMPT), ("reward_model", "")]
)
def test_they_are_what_the_stage_itself_trains_on(stage, prompt, curated, tmp_path):
    out = tmp_path / "out"
    count = write_rows(stage, str(curated), out, prompt)
    written = (out / ROWS_FILE).read_text(encoding="utf-8").replace(str(out.resolve()), "HERE")
    assert written == rows_of_the_stage(stage, curated, tmp_path / "store", prompt)
    assert len(written.splitlines()) == count >= 12
    assert (PROMPT in written) == bool(prompt)


def test_rows_that_cannot_be_written_leave_those_of_before(curated, tmp_path):
    out = tmp_path / "out"
    write_rows("sft", str(curated), out)
    before = (out / ROWS_FILE).read_bytes()
    write_dataset(curated / "sft", [])
    with pytest.raises(InputError, match="its set sft does not have any row to train on"):
        write_rows("sft", str(curated), out)
    write_dataset(curated / "reward_model", [row(1), row(2)])
    with pytest.raises(InputError, match="reward_model does not have both verdicts to train on"):
        write_rows("reward_model", str(curated), out)
    shard = next((curated / "pool").glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(InputError, match="sha256 is not the manifest's"):
        write_rows("grpo", str(curated), out)
    assert (out / ROWS_FILE).read_bytes() == before
    assert not list(out.glob("*.partial"))


def test_rows_of_a_stage_or_of_anybody_else_are_not_replaced(curated, tmp_path):
    rows_of_the_stage("sft", curated, tmp_path / "store", "")
    (theirs,) = (tmp_path / "store").glob("sft/*/data")
    before = {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"has a train\.jsonl that `globe rows` did not write; give another folder"):
        write_rows("grpo", str(curated), theirs)
    assert {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()} == before


def test_rows_that_it_wrote_itself_are_replaced(curated, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    write_rows("sft", str(curated), out)
    write_rows("grpo", str(curated), out)
    write_rows("grpo", str(curated), fresh)
    assert (out / ROWS_FILE).read_text().replace(str(out), str(fresh)) == (fresh / ROWS_FILE).read_text()


def test_of_several_that_write_to_one_folder_at_once_each_writes_all_its_rows_or_is_refused(curated, tmp_path):
    out, fresh = tmp_path / "out", tmp_path / "fresh"

    def write(stage: str) -> int | str:
        try:
            return write_rows(stage, str(curated), out)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(write, ["sft", "reward_model", "grpo"] * 20))
    written = [count for count in told if isinstance(count, int)]
    refused = {error for error in told if isinstance(error, str)}
    assert written
    assert refused == {f"{out}: another `globe rows` is writing here; wait for it, or give another folder"}
    last = json.loads((out / "rows.json").read_text())["stage"]
    write_rows(last, str(curated), fresh)
    assert (out / ROWS_FILE).read_text().replace(str(out), str(fresh)) == (fresh / ROWS_FILE).read_text()


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_row_that_is_held_out_is_trained_on_neither_by_hand_nor_by_the_stage(stage, curated, tmp_path):
    write_dataset(curated / SETS[stage], [row(0), row(1, split="test")])
    run, more = STAGES[stage]
    recipe = load_recipe(RECIPES[stage], stage, "demo", {"eval_rows": 0} if stage == "grpo" else {})
    with pytest.raises(InputError, match=r"row '\.\./1/ü': its split is test, and this set is trained on"):
        write_rows(stage, str(curated), tmp_path / "out")
    with pytest.raises(InputError, match=r"row '\.\./1/ü': its split is test, and this set is trained on"):
        run(data=curated, recipe_name="demo", recipe=recipe, store=tmp_path / "store", **more)
    assert not list(tmp_path.glob("**/train.jsonl.partial"))
    assert not (tmp_path / "out" / ROWS_FILE).exists()


def test_what_is_no_curated_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="no dataset pool there; give the folder that curation wrote"):
        write_rows("grpo", str(tmp_path), tmp_path / "out")
    with pytest.raises(InputError, match="asked its own question"):
        write_rows("reward_model", str(tmp_path), tmp_path / "out", PROMPT)
