"""Stage SFT: teach the base model the answer's format, and the reasoning that curation kept."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from globe.answer.prompt import PROMPT
from globe.data.shards import dataset_digest, read_dataset
from globe.errors import GlobeError
from globe.models.card import Training
from globe.models.checkpoints import Checkpoint, Usage
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, run_stage
from globe.training.adapters import writer
from globe.training.arguments import sft_arguments
from globe.training.finish import SFT_ANSWER_TOKENS, noted, usable
from globe.training.fitted import fitted
from globe.training.further_arguments import require_known_arguments
from globe.training.recipe import SftRecipe
from globe.training.rows import SCRATCH, answer_row, export
from globe.training.runs import StepCallback, ignored, last_value, newest_saved, progress_of, train_once
from globe.training.swift import train
from globe.training.trainer_checkpoints import OUTPUT
from globe.training.trainjob.job import Nodes


def sft(
    *,
    base_model: Checkpoint,
    data: Path,
    recipe_name: str,
    recipe: SftRecipe,
    store: Path,
    gpus: int = 0,
    several: Nodes | None = None,
    usage: Usage = Usage(),
    on_step: StepCallback = ignored,
) -> StageResult:
    """Fine-tune a base model on curated rows.

    Args:
        base_model: Checkpoint to start from.
        data: Curation's output folder.
        recipe_name: Name of the recipe, for the manifest.
        recipe: The recipe.
        store: Where stages keep their results.
        gpus: GPUs that are there, which the recipe is fitted to; 0 takes it as it is.
        several: The nodes that train in this pod's place; None where it trains itself.
        usage: How the run serves and asks its models, for the manifest.
        on_step: Called for each step that is logged, with the step, the number of steps, and ms-swift's figures.

    Returns:
        The stage's result; output `checkpoint` is the folder of the trained model.
    """
    rows = data / "sft"
    used = replace(usage, prompt=recipe.prompt).over(base_model.usage)

    def work(folder: Path, reporter: Reporter) -> Outcome:
        require_known_arguments("sft", recipe)
        origins = Counter[tuple[str, str]]()
        pairs = ((row, partial(answer_row, prompt=used.prompt)) for row in noted(read_dataset(rows), origins))
        count = export(pairs, folder / "data" / "train.jsonl", folder / "data" / "pictures")
        if not count:
            raise GlobeError(f"{rows}: curation kept no row to train on")
        here = fitted(recipe, gpus)
        arguments = sft_arguments(here, base_model.path, folder / "data" / "train.jsonl", folder / OUTPUT)
        told = Training(
            stage="sft",
            recipe_name=recipe_name,
            recipe=recipe.model_dump(mode="json"),
            question=used.prompt or PROMPT,
            answer_tokens=SFT_ANSWER_TOKENS,
            data=dataset_digest(rows),
            rows=count,
            origins=origins,
        )
        checkpoint, history = train_once(
            folder,
            base=base_model,
            recipe=recipe_name,
            train=lambda: train("sft", arguments, here, reporter.log, progress_of(reporter, "loss", on_step), nodes=several),
            write=usable(writer(here, base_model.path, reporter), base_model, told),
            usage=used,
        )
        loss = last_value(history, "loss")
        return Outcome(
            figure=f"{count} rows, {checkpoint.step} steps" + ("" if loss is None else f", loss {loss:.3f}"),
            outputs={"checkpoint": checkpoint.uri},
            figures={"rows": count, "steps": checkpoint.step, "final_loss": loss},
            show=checkpoint.uri,
        )

    return run_stage(
        "sft",
        store=store,
        inputs={"base_model": base_model.digest, "rows": dataset_digest(rows)},
        settings={"recipe_name": recipe_name, "recipe": recipe.model_dump(), "prompt": used.prompt},
        code=(__name__,),
        work=work,
        scratch=SCRATCH,
        saved=newest_saved,
        checked=(OUTPUT,),
    )
