"""Under which circumstances an evaluation's answers came: what was asked of what, on which pictures, and how long it took."""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from globe import __version__
from globe.answer.prompt import prompt_sha256
from globe.asking.client import server_version
from globe.asking.recipe import DECODING
from globe.data.completeness import COMPLETENESS_FILE
from globe.evaluation.recipe import EvaluationRecipe
from globe.geo.layout import data_version

REVISION_VARIABLE = "GLOBE_REVISION"
GIT_S = 5.0


def manifest(
    url: str, model: str, model_digest: str, recipe: EvaluationRecipe, dataset_digest: str, key: str = ""
) -> dict[str, Any]:
    """What somebody needs to repeat an evaluation; what is not known is left out.

    Args:
        url: Where the model is served; only its host is kept.
        model: What the results call it.
        model_digest: Its checkpoint's digest; empty if unknown.
        recipe: How it was asked.
        dataset_digest: Digest of the pictures and their truth.
        key: The server's key, which is not kept; empty for the one in GLOBE_API_KEY.
    """
    known = {
        "model": model,
        "model_digest": model_digest,
        "server_version": server_version(url, key),
        "url_host": urlsplit(url).hostname or "",
        "prompt": recipe.question,
        "prompt_sha256": prompt_sha256(recipe.question),
        **recipe.model_dump(mode="json", include={*DECODING, "seed", "reasoning", "stream"}),
        "dataset_digest": dataset_digest,
        "gazetteer_version": data_version(),
        "git_revision": git_revision(),
        "globe_version": __version__,
    }
    return {name: value for name, value in known.items() if value != ""}


def timing(records: Sequence[dict[str, Any]], wall_s: float) -> dict[str, Any]:
    """How long the answers took; what no server told is left out.

    Args:
        records: The predictions.
        wall_s: How long the model was being asked, in seconds, over all runs that it took.

    Returns:
        wall_s, images_per_s, the median and the 95th percentile of the seconds until an answer's end (latency_s), until its first
        token (first_token_s) and per further token (token_s), tokens in all, calls beyond the first of each picture (retried),
        and pictures without an answer (failed_calls).
    """
    answered = [record for record in records if record["status"] != "call_failed"]
    tokens = {
        part: sum(counts)
        for part in ("prompt", "completion")
        if (counts := [record["tokens"][part] for record in answered if record["tokens"][part] is not None])
    }
    spans = {
        "latency_s": _percentiles(record["latency_s"] for record in answered),
        "first_token_s": _percentiles(record["first_token_s"] for record in answered),
        "token_s": _percentiles(map(_token_s, answered)),
    }
    found: dict[str, Any] = {"wall_s": round(wall_s, 3)}
    found |= {"images_per_s": round(len(answered) / wall_s, 3)} if wall_s else {}
    found |= {name: figures for name, figures in spans.items() if figures}
    found |= {"tokens": tokens} if tokens else {}
    asked = [max(1, len(record.get("samples") or ())) for record in records]
    retried = sum(max(0, record["attempts"] - least) for record, least in zip(records, asked, strict=True))
    return found | {"retried": retried, "failed_calls": len(records) - len(answered)}


def _token_s(record: dict[str, Any]) -> float | None:
    """Seconds per token after the first; a record of several samples counts the tokens of all, so it says nothing about one."""
    count, first_s = record["tokens"]["completion"], record["first_token_s"]
    if record.get("samples") or first_s is None or count is None or count < 2:
        return None
    return float((record["latency_s"] - first_s) / (count - 1))


def _percentiles(values: Iterable[float | None]) -> dict[str, float]:
    import numpy as np

    known = [value for value in values if value is not None]
    if not known:
        return {}
    median, high = np.percentile(known, [50, 95])
    return {"p50": round(float(median), 4), "p95": round(float(high), 4)}


def dataset_facts(pictures: Path) -> dict[str, Any]:
    """What is known of how complete a dataset is, under the key `dataset`; nothing if its source did not say."""
    try:
        found = json.loads((pictures / COMPLETENESS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {"dataset": found} if isinstance(found, dict) else {}


def git_revision() -> str:
    """The commit that this code is of: what the image says, or the checkout that it runs from; empty if neither is known."""
    told = os.environ.get(REVISION_VARIABLE, "")
    if told:
        return "" if told == "unknown" else told
    folder, here = Path(__file__).parent, Path(__file__).name
    try:  # "describe" alone would also answer for another project's checkout that this is installed in
        subprocess.run(["git", "ls-files", "--error-unmatch", here], cwd=folder, capture_output=True, check=True, timeout=GIT_S)
        describe = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        done = subprocess.run(describe, cwd=folder, capture_output=True, text=True, check=True, timeout=GIT_S)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
