"""The training stages by hand: the same functions as in the pipeline, over a folder of the user's own.

OUT/checkpoint          the finished checkpoint; it appears only when it is complete
OUT/question.json       what was asked for; another question needs another folder
OUT/STAGE/KEY/          the stage's folder, as in a pipeline's store: after a kill the next call continues there
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from globe import storage
from globe.data.shards import dataset_digest
from globe.errors import GlobeError, InputError, cannot_write
from globe.models.base_model import base_model
from globe.models.checkpoints import MANIFEST_FILE, TINY, Checkpoint, read_checkpoint, read_intact
from globe.recipes.load import load_recipe
from globe.rewards import LOCALIZABILITY
from globe.run.events import emit
from globe.run.question import QUESTION_FILE, claim
from globe.run.stage import StageResult
from globe.training.grpo import grpo
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.recipe import RewardModelRecipe, SftRecipe, TrainRecipe
from globe.training.reward_model import reward_model
from globe.training.rows_by_hand import curated_folder
from globe.training.runs import CHECKPOINT, link_or_copy
from globe.training.samples import WritePage, no_page
from globe.training.sft import sft

LOCK_FILE = ".lock"
Recipe = TypeVar("Recipe", bound=TrainRecipe)


def sft_by_hand(*, recipe: str, overrides: Mapping[str, Any], data: str, model: str, out: str, gpus: int = 0) -> dict[str, Any]:
    """Fine-tune a model on a curated folder's `sft` rows; see `_by_hand`."""

    def train(loaded: SftRecipe, base: Checkpoint, curated: Path, store: Path) -> StageResult:
        return sft(base_model=base, data=curated, recipe_name=recipe, recipe=loaded, store=store, gpus=gpus)

    return _by_hand("sft", SftRecipe, recipe, overrides, data, "sft", model, out, train)


def reward_model_by_hand(
    *, recipe: str, overrides: Mapping[str, Any], data: str, model: str, out: str, gpus: int = 0
) -> dict[str, Any]:
    """Train the judge of localizability on a curated folder's `reward_model` rows; see `_by_hand`."""

    def train(loaded: RewardModelRecipe, base: Checkpoint, curated: Path, store: Path) -> StageResult:
        return reward_model(base_model=base, data=curated, recipe_name=recipe, recipe=loaded, store=store, gpus=gpus)

    return _by_hand("reward_model", RewardModelRecipe, recipe, overrides, data, "reward_model", model, out, train)


ON_ROWS: Mapping[str, Callable[..., dict[str, Any]]] = {"sft": sft_by_hand, "reward_model": reward_model_by_hand}
"""By stage, the trainings that need nothing but a model and rows."""


def grpo_by_hand(
    *,
    recipe: str,
    overrides: Mapping[str, Any],
    data: str,
    model: str,
    out: str,
    judge: str = "",
    reward_url: str = "",
    reward_key: str = "",
    gpus: int = 0,
    page: WritePage = no_page,
) -> dict[str, Any]:
    """Reinforce a policy over a curated folder's `pool`; see `_by_hand`.

    Args:
        recipe: As in `_by_hand`; so are the next four.
        overrides: Values that replace the recipe's.
        data: Curated folder.
        model: The policy to start from.
        out: Where the checkpoint goes.
        judge: Checkpoint of the reward model; empty to leave the localizability reward out.
        reward_url: Where it is served under the name `reward_model`.
        reward_key: Key of that server; empty if it has none.
        gpus: GPUs that are there, which the recipe is fitted to; 0 takes it as it is.
        page: Writes a page of samples.
    """
    if bool(judge) != bool(reward_url):
        raise InputError("--reward-model and --reward-url belong together: the checkpoint, and where `globe serve` serves it")
    served = read_intact(Path(storage.fetch(judge))) if judge else None

    def train(loaded: GrpoRecipe, policy: Checkpoint, curated: Path, store: Path) -> StageResult:
        if LOCALIZABILITY in loaded.rewards and not served:
            emit("grpo", "note", figure=f"no --reward-model: the {LOCALIZABILITY} reward is left out")
        return grpo(
            policy=policy,
            data=curated,
            judge=served,
            reward_url=reward_url,
            reward_key=lambda: reward_key,
            recipe_name=recipe,
            recipe=loaded,
            store=store,
            gpus=gpus,
            page=page,
        )

    extra = {"reward_model": served.digest if served else ""}
    return _by_hand("grpo", GrpoRecipe, recipe, overrides, data, "pool", model, out, train, extra)


def _by_hand(
    stage: str,
    kind: type[Recipe],
    recipe: str,
    overrides: Mapping[str, Any],
    data: str,
    rows: str,
    model: str,
    out: str,
    train: Callable[[Recipe, Checkpoint, Path, Path], StageResult],
    extra: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a training stage over a folder of the user's own.

    Args:
        stage: The stage.
        kind: Class of its recipes.
        recipe: Name of a recipe, or the path of a YAML file.
        overrides: Values that replace the recipe's, by dotted key.
        data: Curated folder, or its s3:// URI.
        rows: Which of the folder's datasets the stage trains on.
        model: Folder or s3:// URI of a model or checkpoint, or "tiny" for the demo's.
        out: Folder or s3:// prefix; the checkpoint will be in `out/checkpoint`.
        train: Calls the stage with the recipe, the model, the data and the store.
        extra: Further parts of the question.

    Returns:
        stage, checkpoint (where it is), digest, steps, reused, seconds, and the stage's figures.

    Raises:
        InputError: An argument is wrong, or `out` belongs to another question.
    """
    for option, text in (("--data", data), ("--model", model), ("--out", out)):
        if not text.strip() or not text.isprintable():
            raise InputError(f"{option} {text!r}: give a folder or an s3:// URI")
    loaded = load_recipe(kind, stage, recipe, overrides)
    storage.check_access(out, write=True)
    curated = curated_folder(data, rows)
    storage.have(curated / rows)
    given = _given(storage.fetch(model))
    question = {
        "stage": stage,
        "recipe": recipe,
        "values": loaded.model_dump(mode="json"),
        "data": dataset_digest(curated / rows),
        "model": given.digest if given else model,
        "prompt": given.prompt if given else "",
        **(extra or {}),
    }
    store = storage.open_store(out)
    try:
        with _locked(store, out):
            claim(out, question)
        base = given or _adopted(storage.fetch(model), store)
        result = train(loaded, base, curated, store)
        made = read_checkpoint(Path(result.outcome.outputs["checkpoint"]))
        with _locked(store, out):
            place = _hand_over(made, out)
    except OSError as error:
        raise cannot_write(out, error) from None
    return {
        "stage": stage,
        "checkpoint": place,
        "digest": made.digest,
        "steps": result.outcome.figures.get("steps", made.step),  # the best one, which is published, may be an earlier one
        "reused": result.reused,
        "seconds": result.seconds,
        "figures": result.outcome.figures,
    }


def _given(model: str) -> Checkpoint | None:
    """A checkpoint with a manifest; None for a model without one, which `_adopted` makes one of."""
    if model != TINY and not Path(model).is_dir():
        raise InputError(f"--model {model}: no such folder; give a model's or a checkpoint's folder, or {TINY}")
    if model == TINY or not (Path(model) / MANIFEST_FILE).is_file():
        return None
    return read_intact(Path(model))


def _adopted(model: str, store: Path) -> Checkpoint:
    return read_checkpoint(Path(base_model(model=model, seed=0, store=store).outcome.outputs["checkpoint"]))


@contextmanager
def _locked(store: Path, out: str) -> Iterator[None]:
    """Hold a folder for a moment, unless something else keeps its files there."""
    if not storage.address_of(out) and not (store / QUESTION_FILE).exists() and store.exists():
        foreign = sorted(path.name for path in store.iterdir() if path.name != LOCK_FILE)
        if foreign:
            raise InputError(f"--out {out}: holds files that are no training's ({foreign[0]}); give an empty or a new folder")
    store.mkdir(parents=True, exist_ok=True)
    with (store / LOCK_FILE).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _holds(folder: Path, checkpoint: Checkpoint) -> bool:
    """Whether a folder holds this checkpoint, byte for byte."""
    try:
        return read_intact(folder).digest == checkpoint.digest
    except GlobeError:
        return False


def _hand_over(checkpoint: Checkpoint, out: str) -> str:
    """Put the finished checkpoint where the user looks for it, completely or not at all."""
    target = f"{out.rstrip('/')}/{CHECKPOINT}"
    if storage.address_of(out):
        storage.send_folder(checkpoint.path, target, last=MANIFEST_FILE)
        return target
    folder, partial = Path(target), Path(f"{target}.partial")
    if not _holds(folder, checkpoint):
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(checkpoint.path, partial, copy_function=link_or_copy)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    return str(folder)
