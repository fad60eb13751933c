"""Stage baselines: ask the models that a policy is compared with the same questions, so that gains are measured, not assumed.

They are those that training started from, and the promoted one where no evaluation of it on these pictures is recorded.

The baselines need no server: they answer in this process, in batches, with the same prompt, chat template, pictures (no larger
than the server takes them) and greedy decoding as the served policy (in fp32 the two agree to seven digits).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.asking.answers import geocode
from globe.data.images import load_image
from globe.data.rows import Row
from globe.data.shards import dataset_digest
from globe.errors import GlobeError
from globe.evaluation.evaluate import headline, identity_of, write_evaluation
from globe.evaluation.first_look import look_at, look_size
from globe.evaluation.promote import read_promoted
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import BASE, PARTS, PROMOTED, START
from globe.evaluation.usage import asked
from globe.figures.predictions import prediction
from globe.geo.layout import data_version
from globe.models.checkpoints import Checkpoint
from globe.models.processor import load_processor, rows_at_once
from globe.models.weights import load_model
from globe.run.events import Reporter, emit
from globe.run.stage import Outcome, StageResult, run_stage


def baselines(
    *, base: Checkpoint, start: Checkpoint, test: Path, recipe: EvaluationRecipe, max_pixels: int, store: Path
) -> StageResult:
    """Evaluate the base model, the result of SFT where that ran, and the promoted model where nothing says how good it is here.

    Args:
        base: The model that everything started from.
        start: The model that GRPO started from; the same as `base` if SFT was switched off.
        test: The held-out dataset.
        recipe: The recipe.
        max_pixels: Larger pictures are scaled down, as the policy's server does it.
        store: Where stages keep their results, and which model is promoted.

    Returns:
        The stage's result; folders `base`, `start` and `promoted` with predictions.jsonl, metrics.json and report.html.
    """
    recipe = recipe.model_copy(update={"expected": {}})  # of the model that the recipe is for, not of what that started from
    models = {BASE: base} if start.digest == base.digest else {BASE: base, START: start}
    promoted = _promoted_elsewhere(store, test, recipe, models)
    models = ({PROMOTED: promoted} if promoted else {}) | models

    def work(folder: Path, reporter: Reporter) -> Outcome:
        rows = list(look_at(test, recipe))
        figures: dict[str, Any] = {}
        for name, model in models.items():
            reporter.note(f"the {PARTS[name]} answers in process")
            records: list[dict[str, Any]] = []
            for row, (text, cut_off) in zip(rows, answers(model, rows, asked(recipe, model.prompt), max_pixels), strict=True):
                records.append(prediction(row, geocode(text, cut_off=cut_off)))
                reporter.progress(len(records), len(rows), f"{PARTS[name]}: {records[-1]['status']}")
            figures[name] = write_evaluation(identity_of(model), records, test, folder / name, recipe)
            for warning in figures[name]["warnings"]:
                reporter.note(f"{PARTS[name]}: {warning}")
        last = list(models)[-1]
        return Outcome(figure=f"{PARTS[last]}: {headline(figures[last])}", outputs={"folder": str(folder)}, figures=figures)

    return run_stage(
        "baselines",
        store=store,
        inputs={"test": dataset_digest(test)} | {name: model.digest for name, model in models.items()},
        settings={name: asked(recipe, model.prompt).model_dump(exclude={"gate"}) for name, model in models.items()}
        | {"places": data_version(), "max_pixels": max_pixels},
        code=(__name__,),
        work=work,
    )


def _promoted_elsewhere(store: Path, test: Path, recipe: EvaluationRecipe, models: Mapping[str, Checkpoint]) -> Checkpoint | None:
    """The promoted model, if it was asked about other pictures or otherwise, and is none of those that are asked anyway."""
    promoted = read_promoted(store)
    if not promoted or promoted.digest in [model.digest for model in models.values()]:
        return None
    if not promoted.unknown(dataset_digest(test), look_size(test, recipe), recipe.model_dump()):
        return None
    try:
        return promoted.checkpoint()
    except GlobeError as error:  # training need not fail for it: the gate says what is missing
        emit("baselines", "note", figure=f"the promoted model cannot be asked: {error}")
        return None


def answers(model: Checkpoint, rows: list[Row], recipe: EvaluationRecipe, max_pixels: int) -> Iterator[tuple[str, bool]]:
    """Greedy answers of a checkpoint, in process.

    Args:
        model: The checkpoint.
        rows: Pictures.
        recipe: For the prompt and the length of an answer.
        max_pixels: Larger pictures are scaled down.

    Yields:
        One text a row, in order, and whether it was cut off at that length.
    """
    processor = load_processor(model.path, max_pixels)
    at_once = rows_at_once(max_pixels, recipe.max_tokens)
    generate = _generator(model, recipe.max_tokens)
    content = [{"type": "image"}, {"type": "text", "text": recipe.question}]
    messages = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    for start in range(0, len(rows), at_once):
        pictures = [load_image(row.image) for row in rows[start : start + at_once]]
        inputs = processor(text=[prompt] * len(pictures), images=pictures, return_tensors="pt", padding=True)
        tokens, cut_off = generate(inputs)
        yield from zip(processor.tokenizer.batch_decode(tokens, skip_special_tokens=True), cut_off, strict=True)


def _generator(checkpoint: Checkpoint, max_tokens: int) -> Callable[[Any], tuple[Any, list[bool]]]:
    """A function from a processor's batch to the new tokens, shape (batch, at most max_tokens), and which were cut off."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(checkpoint.path).to(device).eval()
    stop = model.generation_config.eos_token_id
    ends = torch.tensor([] if stop is None else stop, dtype=torch.long, device=device).reshape(-1)

    def generate(inputs: Any) -> tuple[Any, list[bool]]:
        inputs = inputs.to(device)
        with torch.inference_mode():
            # A penalty that the folder's own settings name, as Qwen2.5-VL's do, is not in force where the policy is served.
            tokens = model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False, repetition_penalty=1.0)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return new, (~torch.isin(new, ends).any(dim=1)).tolist()

    return generate
