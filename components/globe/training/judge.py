"""The reward model in this process: measure its verdicts."""

from pathlib import Path
from typing import Any

from globe.answer.render import render
from globe.data.images import load_image
from globe.data.rows import Row
from globe.models.processor import load_processor, rows_at_once
from globe.rewards.localizability import question

TEXT_TOKENS = 1024
"""Of the question and a completion, roughly; it decides how many rows are judged at once."""
ROC_STEPS = 100


def judge_accuracy(model: Any, folder: Path, rows: list[Row], max_pixels: int) -> dict[str, Any]:
    """Measure how often the judge, which says yes where P(yes) > 1/2, agrees with the rows' verdicts.

    Args:
        model: A merged reward model.
        folder: Its folder, for the processor.
        rows: Held-out rows with a verdict.
        max_pixels: Larger pictures are scaled down, as in training.

    Returns:
        n, positives, accuracy, balanced_accuracy (mean of the classes' recalls), the mean P(yes) of each class, confusion (counts
        by verdict and by what the judge said, yes before no), and roc (false positive rate, recall and threshold, from the
        strictest to none; empty unless both verdicts are there); only n where there are no rows.
    """
    import torch

    if not rows:
        return {"n": 0}
    processor = load_processor(folder, max_pixels)
    at_once = rows_at_once(max_pixels, TEXT_TOKENS)
    yes, no = (processor.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    said: list[float] = []
    for start in range(0, len(rows), at_once):
        batch = rows[start : start + at_once]
        prompts = [_prompt(processor, question(render(row.reasoning, row.country, row.city))) for row in batch]
        pictures = [load_image(row.image) for row in batch]
        inputs = processor(text=prompts, images=pictures, return_tensors="pt", padding=True).to(device)
        with torch.inference_mode():
            logits = model(**inputs, logits_to_keep=1).logits[:, -1, [yes, no]].float()
        said += logits.softmax(-1)[:, 0].tolist()
    return _agreement(said, [bool(row.localizable) for row in rows])


def _agreement(said: list[float], truth: list[bool]) -> dict[str, Any]:
    right = [(probability > 0.5) == label for probability, label in zip(said, truth, strict=True)]
    recalls, means = {}, {}
    for label in (True, False):
        of_class = [index for index, value in enumerate(truth) if value == label]
        if of_class:
            recalls[label] = sum(right[index] for index in of_class) / len(of_class)
            means[label] = sum(said[index] for index in of_class) / len(of_class)
    return {
        "n": len(truth),
        "positives": sum(truth),
        "accuracy": sum(right) / len(right),
        "balanced_accuracy": sum(recalls.values()) / len(recalls),
        "mean_p_yes_localizable": means.get(True),
        "mean_p_yes_unlocalizable": means.get(False),
        "confusion": confusion(said, truth),
        "roc": roc(said, truth),
    }


def confusion(said: list[float], truth: list[bool]) -> list[list[int]]:
    """How often the judge said yes and no about pictures of either verdict: [[yes, no] of yes, [yes, no] of no]."""
    pairs = [(label, probability > 0.5) for probability, label in zip(said, truth, strict=True)]
    return [[pairs.count((label, answer)) for answer in (True, False)] for label in (True, False)]


def roc(said: list[float], truth: list[bool]) -> list[list[float]]:
    """Points of the receiver operating characteristic at thresholds that are a hundredth apart."""
    positives, negatives = ([p for p, label in zip(said, truth, strict=True) if label is wanted] for wanted in (True, False))
    if not positives or not negatives:
        return []
    thresholds = [step / ROC_STEPS for step in range(ROC_STEPS + 1, -1, -1)]  # above 1 nothing is yes, at 0 everything

    def share(of: list[float], threshold: float) -> float:
        return sum(p >= threshold for p in of) / len(of)

    return [[share(negatives, threshold), share(positives, threshold), threshold] for threshold in thresholds]


def _prompt(processor: Any, text: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": text}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
