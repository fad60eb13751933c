"""The curation recipe: thresholds, the split, and how teachers are asked."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import ConfigDict, Field, field_validator, model_validator

from globe.keys import TEACHER_KEY
from globe.recipes.base import Recipe, Seed

API_KEY_VARIABLE = TEACHER_KEY.variable
"""Environment variable with the key that teachers' servers ask for."""


class Cutting(Recipe):
    """How a source is cut into parts that are read and asked about one by one, or side by side.

    Attributes:
        part_rows: Rows of a part; memory grows with it, and not with the source.
        max_unusable_percent: Share of a source's rows that may be missing, unreadable, duplicate or badly placed; more stops it.
        gpu_tokens_per_s: Tokens that one GPU of a teacher's server reads and writes a second. Only a plan uses it; the default is
            a round number for a 72B model on 80 GB GPUs, to be replaced by what yours does.
    """

    part_rows: int = Field(20_000, ge=1, le=1_000_000)
    gpu_tokens_per_s: float = Field(1000.0, gt=0, allow_inf_nan=False)
    max_unusable_percent: float = Field(20.0, ge=0, le=100)


class Asking(Recipe):
    """How teachers are asked.

    Attributes:
        max_side_px: Pictures are sent with their longer side scaled down to this. Those that are read from photos are stored with
            1,536 at most, and sent no larger.
        concurrency: Calls in flight to each of a teacher's servers.
        timeout_s: Time that one call may take.
        retries: How often a call that failed, timed out or returned a malformed reply is repeated.
        rounds: How often the pictures that got no usable reply are gone through, each time with all retries; only in the last
            round a malformed reply counts as the teacher's own.
        patience_s: How long a teacher is waited for of which no server answers; then the curation stops.
        max_failed_share: The curation stops when more than this share of a teacher's pictures got no usable reply.
    """

    max_side_px: int = Field(1536, ge=28, le=4096)
    concurrency: int = Field(16, ge=1, le=1024)
    timeout_s: float = Field(60.0, gt=0, le=3600)
    retries: int = Field(2, ge=0, le=10)
    rounds: int = Field(2, ge=1, le=10)
    patience_s: float = Field(300.0, ge=0, le=86_400)
    max_failed_share: float = Field(0.25, gt=0, le=1)


RuleName = Literal["localizable", "consensus", "score", "truth", "agreement", "alignment", "visibility"]
RULES: tuple[RuleName, ...] = get_args(RuleName)
"""The rules that an annotation has to pass, in the paper's order."""


class Rules(Recipe):
    """Which annotations pass (`globe.curation.rules.verify`).

    Attributes:
        rules: The rules in force. `localizable`: its teacher finds that the picture can be located; `consensus`: and so do most
            teachers; `score`: it is sure enough of that; `truth`: it names the true place; `agreement`: another teacher places
            the picture there too; `alignment`: another teacher's reasoning says the same; `visibility`: what it names can be
            seen.
        min_score: Annotations whose teacher scores the picture's localizability below this are dropped.
        agree_km: Two places count as the same when their names match or they are within this distance.
        min_confidence: A coordinate model at or above this confidence counts as a vote for "localizable" in a tie.
        min_alignment: Two reasonings say the same when an alignment model's cosine of them is at least this.
        min_shared_cues: Where no alignment model compared them: when they share this much of the shorter one's visual things; 0
            lets all pass.
        min_entity_support: Share of the entities named in a reasoning that a segmentation model, or another teacher, must see.
        min_visible_share: A segmentation model sees a thing when its classes cover at least this share of the picture.
        trust_unwitnessed: Whether an entity passes that nobody can vouch for: no segmentation model has a class for it, and no
            other teacher lists anything.
    """

    rules: list[RuleName] = Field(default_factory=lambda: list(RULES))
    min_score: float = Field(0.5, ge=0, le=1)
    agree_km: float = Field(50.0, gt=0, le=2500)
    min_confidence: float = Field(0.5, ge=0, le=1)
    min_alignment: float = Field(0.5, ge=-1, le=1)
    min_shared_cues: float = Field(0.0, ge=0, le=1)
    min_entity_support: float = Field(1.0, ge=0, le=1)
    min_visible_share: float = Field(0.001, gt=0, le=1)
    trust_unwitnessed: bool = False

    @field_validator("rules")
    @classmethod
    def _possible(cls, rules: list[RuleName]) -> list[RuleName]:
        twice = next((rule for rule in rules if rules.count(rule) > 1), None)
        if twice:
            raise ValueError(f"{twice} is named twice; keep one")
        for rule in ("consensus", "score"):
            if rule in rules and "localizable" not in rules:
                raise ValueError(f"{rule} is about pictures that can be located; name localizable too, or leave {rule} out")
        return [rule for rule in RULES if rule in rules]

    def applies(self, rule: RuleName) -> bool:
        """Whether a rule is in force."""
        return rule in self.rules


class Splitting(Recipe):
    """What is held out, and what may not be trained on because of it (`guard.splits`, `guard.leakage`).

    Attributes:
        test_share: Share of pictures held out, by a hash of the id; only used when the source itself names no test rows.
        unseen_place_share: Share of those held out whose city is held out as a whole, so that no picture of it is trained on.
            Which cities are is decided by a hash, so it is met on average, over many cities, if any city may be.
        unseen_place_max_population: Larger cities are not held out as a whole, so that nobody trains without London by chance.
            None: any may be.
        max_test_rows: No more are held out; the others are trained on, but for those whose city is unseen. None: no limit.
        seed: Seed of the split.
        test_sets: Data sets, by name or path, that nothing of may be trained on, beside the pictures held out.
        same_id: Whether a picture of a test picture's id (its file's name, as far as data sets agree) is not trained on.
        near_duplicate_bits: Nor one whose perceptual hash differs from a test picture's in at most so many of 64 bits. Nearly all
            hashes have as many bits set as not, and so differ in an even number. 6 finds photos that were saved again, scaled,
            made darker, turned by a degree or cropped by 2%, and most that were cropped by 5%, but no two different ones among
            20,000 pairs, which begin at 14 (tests/benchmarks/curation/dedup.py). None: only the very same picture counts.
        same_photographer_km: Nor one that a test picture's photographer took within this distance of it. None: not compared.
        near_test_km: Nor one that anybody took within this distance of a test picture. None: not compared.
    """

    test_share: float = Field(0.15, ge=0, lt=1)
    unseen_place_share: float = Field(0.0, ge=0, le=1)
    unseen_place_max_population: int | None = Field(None, ge=0)
    max_test_rows: int | None = Field(None, ge=1)
    seed: Seed = 0
    test_sets: list[str] = Field(default_factory=list)
    same_id: bool = True
    near_duplicate_bits: int | None = Field(None, ge=0, le=16)
    same_photographer_km: float | None = Field(None, gt=0, le=20_100)
    near_test_km: float | None = Field(None, gt=0, le=1000)


class Negatives(Recipe):
    """Examples of "no" that are made for the reward model (`sets.negatives`), beside those that the teachers found.

    Attributes:
        other_picture: Share of the pictures that can be located which are also shown with the reasoning of another picture.
        cues_removed: Share of them that are also shown with their reasoning less whatever in it names something visible.
    """

    model_config = ConfigDict(frozen=True)

    other_picture: float = Field(0.0, ge=0, le=1)
    cues_removed: float = Field(0.0, ge=0, le=1)


class Sets(Recipe):
    """What the sets hold (`globe.curation.sets.outputs`). Where fewer rows are wanted than there are, a hash of the ids chooses.

    Attributes:
        pool: What GRPO trains on: every picture that is not held out, or only those with an annotation that was kept.
        negatives: What is made for the reward model's set.
        balance_verdicts: The reward model's set gets as many "yes" as "no"; rows of the more frequent verdict are left out.
        max_sft_rows: Rows for supervised training at most; 0 sets no limit, as in the next two.
        max_reward_model_rows: Rows that the reward model is trained on at most; of an odd number, a balanced set gets one less.
        max_pool_rows: Rows for GRPO at most.
    """

    pool: Literal["all", "kept"] = "all"
    negatives: Negatives = Negatives()
    balance_verdicts: bool = False
    max_sft_rows: int = Field(0, ge=0)
    max_reward_model_rows: int = Field(0, ge=0)
    max_pool_rows: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _of_both_verdicts(self) -> Self:
        if self.balance_verdicts and self.max_reward_model_rows == 1:
            raise ValueError("max_reward_model_rows: a balanced set has rows of both verdicts; give 2 or more, or 0 for all")
        return self


class CurationRecipe(Cutting, Asking, Rules, Splitting, Sets):
    """Settings of one curation. The paper gives no thresholds; these defaults were measured on the toy world."""

    model_config = ConfigDict(frozen=True)
