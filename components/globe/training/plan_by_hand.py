"""`--plan`: what a training by hand would take, by its recipe, model, data and disk. Nothing is started or written."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from globe import storage
from globe.errors import InputError
from globe.models.checkpoints import MANIFEST_FILE, TINY, read_checkpoint
from globe.recipes.load import load_recipe
from globe.storage.uris import scratch
from globe.training.arguments import reward_model_arguments, sft_arguments
from globe.training.fitted import fitted
from globe.training.further_arguments import command_of, require_known_arguments
from globe.training.grpo_arguments import grpo_arguments
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.lengths import Lengths
from globe.training.memory import GB
from globe.training.plan import Plan, plan
from globe.training.plan_rows import longest_of, rows_of, training_rows
from globe.training.recipe import RewardModelRecipe, SftRecipe, TrainRecipe
from globe.training.rows import SETS
from globe.training.shapes import ModelShape, known_shapes, model_shape, usual_shape
from globe.training.trainer_checkpoints import OUTPUT

KINDS: dict[str, type[TrainRecipe]] = {"sft": SftRecipe, "reward_model": RewardModelRecipe, "grpo": GrpoRecipe}
Serving = Mapping[str, tuple[str, int]]
"""By architecture: name and max_model_len of the recipe that its models are served with."""


def plan_by_hand(
    stage: str,
    *,
    recipe: str,
    overrides: Mapping[str, Any],
    data: str = "",
    model: str = "",
    out: str = "",
    gpus: int = 0,
    gpu_memory_gb: float = 0.0,
    serving: Serving | None = None,
) -> tuple[Plan, dict[str, Any]]:
    """Plan a training by hand.

    Args:
        stage: `sft`, `reward_model` or `grpo`.
        recipe: Name of a recipe, or the path of a YAML file.
        overrides: Values that replace the recipe's, by dotted key.
        data: Curated folder, or its s3:// URI; empty if there is none yet.
        model: Folder or s3:// URI of a model, the name of a shipped shape, or "tiny"; empty for the recipe's usual one.
        out: Where the checkpoint goes; empty if that is not known yet.
        gpus: GPUs that are there; 0 for those that the recipe was written for.
        gpu_memory_gb: Memory of one, as its name says; 0 if not known.
        serving: How the trained models are served.

    Returns:
        The plan, and the same with what ms-swift would be given as a document for `--json`.

    Raises:
        InputError: Something that was given is wrong or not there.
    """
    loaded = load_recipe(KINDS[stage], stage, recipe, overrides)
    require_known_arguments(command_of(stage), loaded)
    shape = model_shape(model) if model else usual_shape(loaded.model_type, recipe)
    if out and not storage.address_of(out):
        storage.check_access(out, write=True)
    served = (serving or {}).get(loaded.model_type) if shape.name != TINY else None
    rows, lengths = _read(stage, loaded, shape, data, model)
    known: dict[str, Any] = {"rows": rows, "lengths": lengths, "free_disk_gb": free_gb(out), "serving": served}
    made = plan(stage, loaded, shape, gpus, gpu_memory_gb, **known)
    return made, document(made, recipe, loaded, model, data, out)


def document(made: Plan, name: str, recipe: TrainRecipe, model: str, data: str, out: str) -> dict[str, Any]:
    """A plan as `--json` prints it, with the arguments and the DeepSpeed file that ms-swift would be given.

    Args:
        made: The plan.
        name: The recipe's name.
        recipe: The recipe, as written.
        model: What was given as model, data and out, as far as it was.
        data: As above.
        out: As above.
    """
    here = recipe
    with suppress(InputError):  # then it does not fit, and the plan says so
        here = fitted(recipe, made.gpus)
    derived = {"fits": made.fits, "gpu_hours": made.gpu_hours, "assumptions": made.assumptions}
    arguments = _arguments(here, Path(model or "MODEL"), Path(data or "DATA"), Path(out or "OUT") / made.stage)
    asked = {"recipe": name, "arguments": arguments, "deepspeed": deepspeed_file(here)}
    return asdict(made) | derived | asked


def deepspeed_file(recipe: TrainRecipe) -> str:
    """The DeepSpeed configuration that ms-swift takes for a recipe: its own file of that name; empty without DeepSpeed."""
    if not recipe.deepspeed:
        return ""
    found = find_spec("swift")
    folder = Path(str(found.submodule_search_locations[0])) if found and found.submodule_search_locations else Path("swift")
    return str(folder / "config" / f"{recipe.deepspeed}.json")


def _arguments(recipe: TrainRecipe, model: Path, data: Path, folder: Path) -> dict[str, Any]:
    rows, output = folder / "data" / "train.jsonl", folder / OUTPUT
    if isinstance(recipe, GrpoRecipe):
        return grpo_arguments(recipe, model, rows, output, recipe.weights(judged=True))
    if isinstance(recipe, SftRecipe):
        return sft_arguments(recipe, model, rows, output)
    assert isinstance(recipe, RewardModelRecipe)
    return reward_model_arguments(recipe, model, rows, output)


def _read(stage: str, recipe: TrainRecipe, shape: ModelShape, data: str, model: str) -> tuple[int | None, Lengths | None]:
    """Rows, and the longest of them where the model's tokenizer is there, too."""
    if not data:
        return None, None
    places = [f"{data.rstrip('/')}{inner}/{SETS[stage]}" for inner in ("", "/data")]
    dataset = next((place for place in places if rows_of(place) is not None), None)
    if dataset is None:
        raise InputError(f"--data {data}: no dataset {SETS[stage]} there; give the folder that curation wrote")
    if storage.address_of(dataset):  # a plan fetches nothing
        return (None if stage == "reward_model" else rows_of(dataset)), None
    rows = training_rows(recipe, Path(dataset))
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _tokenizer(model, Path(folder))
        return rows, longest_of(recipe, shape, Path(dataset), tokenizer) if tokenizer else None


def _tokenizer(model: str, scratch: Path) -> Path | None:
    """A model's tokenizer.json on this machine; the demo's is made."""
    if model == TINY:
        from globe.demo.tiny_model import build_tiny_model, demo_texts

        build_tiny_model(scratch, demo_texts())
        return scratch / "tokenizer.json"
    if not model or model in known_shapes() or storage.address_of(model):
        return None
    folder = Path(model)
    if not (folder / "config.json").is_file() and (folder / MANIFEST_FILE).is_file():
        folder = read_checkpoint(folder).path
    return folder / "tokenizer.json" if (folder / "tokenizer.json").is_file() else None


def free_gb(out: str) -> float | None:
    """Free decimal GB where a stage writes: in a folder, or where a store on S3 is mirrored; None for no place."""
    if not out:
        return None
    folder = (scratch() if storage.address_of(out) else Path(out)).absolute()
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(nearest).free / GB
