"""Stage reward model: train a LoRA judge of localizability, merge it into its base model, measure it on held-out pictures."""

from collections import Counter
from functools import partial
from pathlib import Path

from globe.data.rows import Row
from globe.data.shards import dataset_digest, read_dataset
from globe.errors import GlobeError
from globe.models.card import Training
from globe.models.checkpoints import Checkpoint, Usage
from globe.models.weights import load_model
from globe.rewards.localizability import QUESTION
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.training.adapters import writer
from globe.training.arguments import reward_model_arguments
from globe.training.finish import noted, usable
from globe.training.fitted import fitted
from globe.training.further_arguments import require_known_arguments
from globe.training.judge import judge_accuracy
from globe.training.recipe import RewardModelRecipe
from globe.training.rows import SCRATCH
from globe.training.runs import StepCallback, ignored, newest_saved, progress_of, train_once
from globe.training.swift import train
from globe.training.trainer_checkpoints import OUTPUT
from globe.training.verdicts import borrowed, export_verdicts


def reward_model(
    *,
    base_model: Checkpoint,
    data: Path,
    recipe_name: str,
    recipe: RewardModelRecipe,
    store: Path,
    gpus: int = 0,
    usage: Usage = Usage(),
    on_step: StepCallback = ignored,
) -> StageResult:
    """Train the judge on curation's verdicts.

    Args:
        base_model: Checkpoint that the adapter is trained on and merged into.
        data: Curation's output folder.
        recipe_name: Name of the recipe, for the manifest.
        recipe: The recipe.
        store: Where stages keep their results.
        gpus: GPUs that are there, which the recipe is fitted to; 0 takes it as it is.
        usage: How the run serves its models, for the manifest.
        on_step: Called for each step that is logged, with the step, the number of steps, and ms-swift's figures.

    Returns:
        The stage's result; output `checkpoint` is the folder of the merged model.
    """
    verdicts = data / "reward_model"

    def work(folder: Path, reporter: Reporter) -> Outcome:
        require_known_arguments("sft", recipe)
        origins = Counter[tuple[str, str]]()
        held_out: list[Row] = []
        rows = noted(read_dataset(verdicts), origins)
        path = folder / "data" / "train.jsonl"
        count = export_verdicts(rows, path, folder / "data" / "pictures", held_out, recipe.balance_classes)
        if not count:
            raise GlobeError(f"{verdicts}: no training rows, or all of one verdict; a judge needs both, or leave the stage out")
        here = fitted(recipe, gpus)
        arguments = reward_model_arguments(here, base_model.path, path, folder / OUTPUT)

        told = Training(
            stage="reward_model",
            recipe_name=recipe_name,
            recipe=recipe.model_dump(mode="json"),
            question=QUESTION,
            answer_tokens=1,
            data=dataset_digest(verdicts),
            rows=count,
            origins=origins,
        )
        checkpoint, _ = train_once(
            folder,
            base=base_model,
            recipe=recipe_name,
            train=lambda: train("sft", arguments, here, reporter.log, progress_of(reporter, "loss", on_step)),
            write=usable(writer(here, base_model.path, reporter), base_model, told),
            usage=usage.over(base_model.usage),
        )
        reporter.note("judging held-out pictures")
        model = load_model(checkpoint.path)
        judged = partial(judge_accuracy, model, checkpoint.path, max_pixels=recipe.max_pixels)
        figures = judged([row for row in held_out if row.localizable] + borrowed(held_out))
        figures["as_written"] = judged(held_out).get("accuracy")
        measured = f"{figures['accuracy']:.1%} of {figures['n']} held-out pictures" if figures["n"] else "no held-out pictures"
        return Outcome(
            figure=f"judged right: {measured}",
            outputs={"checkpoint": checkpoint.uri},
            figures={"rows": count, "steps": checkpoint.step, "held_out": figures},
            show=checkpoint.uri,
        )

    return run_stage(
        "reward_model",
        store=store,
        inputs={"base_model": base_model.digest, "verdicts": dataset_digest(verdicts)},
        settings={"recipe_name": recipe_name, "recipe": recipe.model_dump()},
        code=(__name__,),
        work=work,
        scratch=SCRATCH,
        saved=newest_saved,
        checked=(OUTPUT,),
    )
