"""Stages promote and reject: what follows the gate's verdict."""

import json
from pathlib import Path

from globe import storage
from globe.errors import GlobeError, InputError
from globe.evaluation.radius_file import publish_radius
from globe.evaluation.titles import POLICY, PROMOTED
from globe.files import json_text
from globe.models.checkpoints import Checkpoint
from globe.run.events import emit, fail
from globe.run.stage import StageResult, load_result

PROMOTED_FILE = "promoted.json"


def promote(*, policy: Checkpoint, evaluation: StageResult, store: Path) -> Path:
    """Name a checkpoint as the promoted one.

    Args:
        policy: The checkpoint.
        evaluation: The evaluation that earned it.
        store: Where stages keep their results.

    Returns:
        The file that names it; written atomically, so a reader sees the old name or the new one. Its paths are relative to
        the store.
    """
    path = store / PROMOTED_FILE
    uri = storage.portable(policy.uri, store)
    promoted = {"uri": uri, "digest": policy.digest, "step": policy.step}
    promoted["evaluation"] = storage.portable(evaluation.folder, store)
    # For readers without this machine's mirror, such as another server.
    promoted["stored_at"] = storage.stored_at(policy.uri) if storage.is_mirrored(Path(policy.uri)) else uri
    storage.write_text(path, json_text(promoted))
    emit("promote", "note", figure=publish_radius(policy, evaluation.folder / POLICY, store))
    emit("promote", "done", figure="promoted", seconds=0.0, output=storage.stored_at(path))
    return path


def find_baseline(name: str, store: Path) -> StageResult | None:
    """The earlier evaluation that a new model is compared with, in a run that evaluates no baselines itself.

    Args:
        name: Folder of a finished evaluation stage; "promoted" for that of the promoted model; empty for none.
        store: Where stages keep their results.

    Returns:
        The evaluation; None if there is nothing to compare with, or nothing has been promoted yet.

    Raises:
        InputError: There is no finished evaluation at the given folder.
    """
    if name == PROMOTED:
        promoted = store / PROMOTED_FILE
        if not storage.exists(promoted):
            return None
        recorded = Path(json.loads(storage.read_text(promoted))["evaluation"])
        # Earlier versions wrote an absolute path; but the evaluation of a promoted model is always in the same store.
        name = str(store / Path(*recorded.parts[-2:]) if recorded.is_absolute() else store / recorded)
    if not name:
        return None
    try:
        return load_result(Path(name))
    except FileNotFoundError:
        raise InputError(f"baseline: {name}: no finished evaluation there (it has a result.json)") from None


def reject(reasons: str) -> None:
    """Fail with the gate's reasons.

    Raises:
        GlobeError: Always.
    """
    rejection = GlobeError(f"the gate rejected the policy: {reasons}")
    fail("gate", rejection)  # reported as the gate's, whose verdict it is
    raise rejection
