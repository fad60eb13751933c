"""Stage baselines: what training started from, asked the same questions, so that every gain is measured and not assumed.

The baselines are not worth a server of their own: they answer in this process, in batches, with the same prompt, chat
template, pictures and greedy decoding as the served policy (in fp32 the two agree to seven digits).
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from globe.data.rows import Row
from globe.data.shards import dataset_digest, read_dataset
from globe.evaluation.client import geocode
from globe.evaluation.evaluate import headline, identity_of, prediction, write_evaluation
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import BASE, PARTS, START
from globe.events import Reporter
from globe.geo.answer import PROMPT
from globe.stage import Outcome, StageResult, run_stage
from globe.training.checkpoints import Checkpoint

CODE = ("evaluation", "geo", "data", "report")
BATCH = 64


def evaluate_baselines(*, base: Checkpoint, start: Checkpoint, test: Path, recipe: EvaluationRecipe, store: Path) -> StageResult:
    """Evaluate the base model and, where SFT ran, its result.

    Args:
        base: What everything started from.
        start: What GRPO started from; the same as `base` where SFT was switched off.
        test: The held-out dataset.
        recipe: The recipe.
        store: Where stages keep their results.

    Returns:
        The stage's result; folders `base` and `start` with predictions.jsonl, metrics.json and report.html.
    """
    models = {BASE: base} if start.digest == base.digest else {BASE: base, START: start}

    def work(folder: Path, reporter: Reporter) -> Outcome:
        rows = list(read_dataset(test))
        figures: dict[str, Any] = {}
        for name, model in models.items():
            reporter.note(f"the {PARTS[name]} answers in process")
            records: list[dict[str, Any]] = []
            for row, text in zip(rows, answers(model, rows, recipe), strict=True):
                records.append(prediction(row, geocode(text)))
                reporter.progress(len(records), len(rows), f"{PARTS[name]}: {records[-1]['status']}")
            figures[name] = write_evaluation(identity_of(model), records, test, folder / name, recipe)
        last = list(models)[-1]
        return Outcome(figure=f"{PARTS[last]}: {headline(figures[last])}", outputs={"folder": str(folder)}, figures=figures)

    return run_stage(
        "baselines",
        store=store,
        inputs={"test": dataset_digest(test)} | {name: model.digest for name, model in models.items()},
        settings=recipe.model_dump(exclude={"gate"}),
        code=CODE,
        work=work,
    )


def answers(model: Checkpoint, rows: list[Row], recipe: EvaluationRecipe) -> Iterator[str]:
    """Greedy answers of a checkpoint, in process.

    Args:
        model: The checkpoint.
        rows: Pictures.
        recipe: For the length of an answer.

    Yields:
        One text a row, in order.
    """
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(model.path)
    processor.tokenizer.padding_side = "left"
    generate = _generator(model, recipe.max_tokens)
    content = [{"type": "image"}, {"type": "text", "text": PROMPT}]
    messages = [{"role": "user", "content": content}]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    for start in range(0, len(rows), BATCH):
        pictures = [Image.open(io.BytesIO(row.image)).convert("RGB") for row in rows[start : start + BATCH]]
        inputs = processor(text=[prompt] * len(pictures), images=pictures, return_tensors="pt", padding=True)
        yield from processor.tokenizer.batch_decode(generate(inputs), skip_special_tokens=True)


def _generator(checkpoint: Checkpoint, max_tokens: int) -> Callable[[Any], Any]:
    """A function from a processor's batch to the new tokens, shape (batch, at most max_tokens)."""
    import torch
    from transformers import AutoModelForImageTextToText

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForImageTextToText.from_pretrained(checkpoint.path, dtype="auto").to(device).eval()

    def generate(inputs: Any) -> Any:
        inputs = inputs.to(device)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        return tokens[:, inputs["input_ids"].shape[1] :]

    return generate
