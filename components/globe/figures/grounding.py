"""How much of a reasoning the picture gives: of the visual cues that it names, the share that the picture is known to hold.

That share alone says little: a reasoning that names roads, trees and the sky is borne out by most pictures, seen or not. So it is
judged a second and third time, against the entities of other pictures of the same country and of other countries (an image-swap
control; GeoRC, ACL 2026, found small models' reasoning barely better than that of a model which sees nothing). What the own
picture bears out beyond these comes from the picture.

Cues and whether they are borne out are the visual rewards' (`globe.rewards.claims`). Each word of any of the compared pictures'
entities counts as a cue, whichever picture it is of: so none of them has more chances than another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from globe.errors import InputError
from globe.figures.confidence import Records, photographer, share_interval
from globe.figures.intervals import effective_n, percent, redraws, wilson
from globe.geo.countries import find_country
from globe.rewards.claims import Picture, claims_among, claims_of, picture_of, unsupported
from globe.rewards.score import entities_of, read

DRAWS = 5
"""Other pictures of each kind that a reasoning is judged against; the mean counts."""
ROUNDS = 1000
LEAST_TO_DRAW = 30
"""Of fewer photographers, or pictures, a bootstrap makes intervals that are too narrow."""
KINDS = ("own", "same_country", "other_country")


class Reasoned(NamedTuple):
    """A reasoning about a picture of which it is known what is in it."""

    id: str
    owner: str
    """Who took the picture, or its own id where that is not known."""
    reasoning: str
    entities: tuple[str, ...]
    picture: Picture
    """What these say of it."""
    country: str
    """ISO code; empty where it is not known."""


def reasoned(records: Records) -> list[Reasoned]:
    """The reasonings that can be judged, sorted by id, so that draws do not depend on the order of the records."""
    found = []
    for record in records:
        truth = record.get("truth") or {}
        try:
            entities = entities_of(truth)
        except InputError:  # none are known, or what is there is no list of texts
            continue
        reasoning, picture = read(record.get("answer")).answer.reasoning, picture_of(entities)
        if reasoning and picture.words:
            country = find_country(str(truth.get("country") or ""))
            name = str(record["id"])
            owner = str(photographer(record) or name)
            found.append(Reasoned(name, owner, reasoning, entities, picture, country.code if country else ""))
    return sorted(found, key=lambda answer: answer.id)


def grounding(answers: Sequence[Reasoned]) -> dict[str, Any]:
    """The share of named cues that the pictures are known to hold.

    Args:
        answers: As `reasoned` returns them.

    Returns:
        n (reasonings that name a cue), named (cues in all), in_picture, percent, and ci95: a score interval for cues that come in
        clusters, those of one photographer's pictures or else of one picture. Empty where no reasoning names a cue.
    """
    held: list[bool] = []
    owners: list[str] = []
    n = 0
    for answer in answers:
        claims = claims_of(answer.reasoning, answer.entities)
        wrong = set(unsupported(claims, answer.picture))
        held += [claim not in wrong for claim in claims]
        owners += [answer.owner] * len(claims)
        n += bool(claims)
    if not held:
        return {}
    cues = np.array(held)
    return {
        "n": n,
        "named": len(held),
        "in_picture": int(cues.sum()),
        "percent": percent(cues.mean()),
        "ci95": share_interval(cues, np.unique(owners, return_inverse=True)[1]),
    }


def image_swap(answers: Sequence[Reasoned], seed: int = 0) -> dict[str, Any]:
    """The share of named cues that the own picture bears out, beside those that other pictures would.

    Args:
        answers: As `reasoned` returns them.
        seed: Of the draws of pictures and of the bootstrap.

    Returns:
        n (reasonings that name a cue, with another picture of their country and one of another country), own_percent,
        same_country_percent, other_country_percent and ci95 of these; and own_minus_same_country, own_minus_other_country and
        same_minus_other_country: each with difference (points) and its ci95. Shares have score intervals for cues that come in
        clusters (photographers, or pictures where none are named); differences that of a bootstrap over these, or, where they
        are few or all alike, one from the ends of the two shares' intervals (Newcombe 1998, Stat. Med. 17:873, method 10).
        Empty where there is no such reasoning.
    """
    rng = np.random.default_rng(seed)
    judged = [(answer.owner, found) for answer, *others in _swaps(answers, rng) if (found := _judge(answer, *others))]
    if not judged:
        return {}
    owners = np.unique([owner for owner, _ in judged], return_inverse=True)[1]
    borne_out = np.array([cues for _, cues in judged], dtype=float)
    columns = np.zeros((owners.max() + 1, 4))  # own, same country, other country, named
    np.add.at(columns, owners, borne_out)
    shares, ends, drawn = _shares(columns.sum(axis=0)), _share_intervals(borne_out, owners), _drawn(columns, rng)
    figures: dict[str, Any] = {"n": len(judged), "named": int(columns[:, 3].sum())}
    figures |= {f"{name}_percent": round(float(share), 4) for name, share in zip(KINDS, shares, strict=True)}
    figures["ci95"] = {f"{name}_percent": _rounded(ends[at]) for at, name in enumerate(KINDS)}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        difference, differences = float(shares[a] - shares[b]), drawn[:, a] - drawn[:, b]
        if len(columns) >= LEAST_TO_DRAW and np.ptp(differences) > 0:
            interval = np.percentile(differences, [2.5, 97.5])
        else:
            interval = difference + np.array([-1, 1]) * np.hypot(shares[a] - ends[a], ends[b, ::-1] - shares[b])
        name = f"{KINDS[a].partition('_')[0]}_minus_{KINDS[b]}"
        figures[name] = {"difference": round(difference, 4), "ci95": _rounded(interval)}
    return figures


def _share_intervals(borne_out: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Low and high of each kind's share in percent: score intervals for cues that come in clusters.

    Args:
        borne_out: For each reasoning how many of its cues each kind of picture bears out, and how many it names.
        owners: Whose picture it is about.
    """
    named = borne_out[:, 3].astype(int)
    cues = np.repeat(borne_out[:, :3] / borne_out[:, 3:], named, axis=0)
    n = effective_n(cues, np.zeros(len(cues), dtype=int), np.repeat(owners, named))[0]
    return 100 * np.stack(wilson(cues.mean(axis=0), n), axis=1)


def _drawn(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The shares of each round of the bootstrap."""
    return np.concatenate([_shares(weights @ columns) for weights in redraws(len(columns), ROUNDS, rng)])


def _rounded(ends: np.ndarray) -> list[float]:
    return [round(float(end), 4) for end in ends]


def _shares(sums: np.ndarray) -> np.ndarray:
    """Percent of the cues named that each kind of picture bears out, from sums over reasonings."""
    return 100 * sums[..., :3] / sums[..., 3:]


def _swaps(answers: Sequence[Reasoned], rng: np.random.Generator) -> Iterator[tuple[Reasoned, list[Reasoned], list[Reasoned]]]:
    """Each answer with pictures of its own country and of others; without those that have none."""
    by_country: defaultdict[str, list[int]] = defaultdict(list)
    for at, answer in enumerate(answers):
        if answer.country:
            by_country[answer.country].append(at)
    placed = np.array([at for places in by_country.values() for at in places], dtype=int)
    starts = dict(zip(by_country, np.cumsum([0, *map(len, by_country.values())]), strict=False))
    for country, places in by_country.items():
        start, size, abroad = starts[country], len(places), len(placed) - len(places)
        for rank in range(size if size > 1 and abroad else 0):
            same = start + (rank + 1 + rng.integers(0, size - 1, DRAWS)) % size  # any but itself
            other = (start + size + rng.integers(0, abroad, DRAWS)) % len(placed)
            yield answers[places[rank]], [answers[at] for at in placed[same]], [answers[at] for at in placed[other]]


def _judge(answer: Reasoned, same: Sequence[Reasoned], other: Sequence[Reasoned]) -> tuple[float, float, float, int] | None:
    """How many of a reasoning's cues its picture, and on average the others, bear out, and how many it names."""
    pictures = [answer.picture, *(one.picture for one in (*same, *other))]
    claims = claims_among(answer.reasoning, (thing for picture in pictures for thing in picture.own))
    if not claims:
        return None
    held = [len(claims) - len(unsupported(claims, picture)) for picture in pictures]
    return held[0], float(np.mean(held[1 : 1 + len(same)])), float(np.mean(held[1 + len(same) :])), len(claims)
