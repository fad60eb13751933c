"""The curation recipe: thresholds, the split, and how teachers are asked."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from globe.keys import TEACHER_KEY
from globe.recipes.base import Recipe, Seed

API_KEY_VARIABLE = TEACHER_KEY.variable
"""Environment variable with the key that teachers' servers ask for."""


class CurationRecipe(Recipe):
    """Settings of one curation. The paper gives no thresholds; these defaults were measured on the toy world.

    Attributes:
        test_share: Share of pictures held out, by a hash of the id; only used when the source itself names no test rows.
        min_score: Annotations whose teacher scores the picture's localizability below this are dropped.
        agree_km: Two places count as the same when their names match or they are within this distance.
        min_confidence: A coordinate model at or above this confidence counts as a vote for "localizable" in a tie.
        min_entity_support: Share of the entities named in a reasoning that another teacher must see too.
        max_side_px: Pictures are sent with their longer side scaled down to this.
        concurrency: Calls in flight per teacher.
        timeout_s: Time that one call may take.
        retries: How often a call that failed, timed out or returned a malformed reply is repeated.
        max_unusable_percent: Share of a source's rows that may be missing, unreadable, duplicate or badly placed; more stops it.
        max_failed_share: The curation stops when more than this share of a teacher's pictures got no usable reply.
        seed: Seed of the split.
    """

    model_config = ConfigDict(frozen=True)

    test_share: float = Field(0.15, ge=0, lt=1)
    min_score: float = Field(0.5, ge=0, le=1)
    agree_km: float = Field(50.0, gt=0, le=2500)
    min_confidence: float = Field(0.5, ge=0, le=1)
    min_entity_support: float = Field(1.0, ge=0, le=1)
    max_side_px: int = Field(1536, ge=28, le=4096)
    concurrency: int = Field(16, ge=1, le=1024)
    timeout_s: float = Field(60.0, gt=0, le=3600)
    retries: int = Field(2, ge=0, le=10)
    max_unusable_percent: float = Field(20.0, ge=0, le=100)
    max_failed_share: float = Field(0.25, gt=0, le=1)
    seed: Seed = 0
