"""Step a: the picture can be located, says the teacher itself and say most teachers, and it is sure enough of that."""

from __future__ import annotations

from collections.abc import Mapping

from globe.curation.recipe import Rules
from globe.curation.rules.reasons import Reason
from globe.curation.teachers.replies import CoordinateReply, VlmReply


def consensus(vlms: Mapping[str, VlmReply], positions: Mapping[str, CoordinateReply], min_confidence: float) -> bool | None:
    """Whether a picture is localizable: the VLMs' majority; on a tie, the coordinate models' mean confidence.

    Returns:
        None when no VLM replied, or on a tie without a coordinate model.
    """
    votes = sum(1 if reply.localizable else -1 for reply in vlms.values())
    if not vlms:
        return None
    if votes:
        return votes > 0
    if not positions:
        return None
    return sum(reply.confidence for reply in positions.values()) / len(positions) >= min_confidence


def localizability_fails(reply: VlmReply, localizable: bool | None, rules: Rules) -> Reason | None:
    """Why an annotation fails what the others say of localizability; None if it does not.

    One that says of an unlocatable picture that it is unlocatable is right, and passes.

    Args:
        reply: The annotation.
        localizable: The consensus.
        rules: Which rules are in force.
    """
    if not rules.applies("consensus"):
        return None
    if localizable is None:
        return "undecided"
    if reply.localizable != localizable:
        return "localizability_disputed" if localizable else "not_localizable"
    return None


def score_fails(reply: VlmReply, rules: Rules) -> Reason | None:
    """Why an annotation fails by its score, which says how sure its teacher is that the picture can be located; None if not."""
    return "low_score" if rules.applies("score") and reply.score < rules.min_score else None
