"""What follows the gate's verdict."""

from pathlib import Path

from globe.errors import GlobeError
from globe.evaluation.gate import judge
from globe.evaluation.recipe import EvaluationRecipe
from globe.events import emit
from globe.stage import StageResult, write_json
from globe.training.checkpoints import Checkpoint

PROMOTED_FILE = "promoted.json"


def promote(*, policy: Checkpoint, evaluation: StageResult, store: Path) -> Path:
    """Name a checkpoint as the promoted one.

    Args:
        policy: The checkpoint.
        evaluation: The evaluation that earned it.
        store: Where stages keep their results.

    Returns:
        The file that names it; written atomically, so a reader sees the old name or the new one.
    """
    path = store / PROMOTED_FILE
    write_json(path, {"uri": policy.uri, "digest": policy.digest, "step": policy.step, "evaluation": str(evaluation.folder)})
    emit("promote", "done", figure="promoted", seconds=0.0, output=str(path))
    return path


def reject(baselines: StageResult, evaluation: StageResult, recipe: EvaluationRecipe) -> None:
    """Fail with the gate's reasons.

    Raises:
        GlobeError: Always.
    """
    message = "the gate rejected the policy: " + "; ".join(judge(baselines, evaluation, recipe)["reasons"])
    emit("promote", "failed", error=message)
    raise GlobeError(message)
