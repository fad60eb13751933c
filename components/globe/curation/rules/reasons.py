"""Why a picture or an annotation is dropped, in the order of the rules."""

from typing import Literal, get_args

Reason = Literal[
    "no_reply",
    "undecided",
    "not_localizable",
    "localizability_disputed",
    "low_score",
    "wrong_place",
    "not_corroborated",
    "reasoning_differs",
    "no_reasoning",
    "no_entity_named",
    "entity_not_seen",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""The further down, the further an annotation got: a dropped picture is counted under the reason of the one that got furthest."""
