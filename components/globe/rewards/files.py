"""Scores a JSON lines file of completions with the rewards: what ``globe reward`` prints."""

from __future__ import annotations

from pathlib import Path

from globe.data.tables import read_json_lines
from globe.errors import InputError
from globe.rewards import LOCALIZABILITY, REWARDS, full_name
from globe.rewards.score import Score


def reward_names(text: str) -> list[str]:
    """Names from a comma list; all of them for an empty one.

    Raises:
        InputError: a name is no reward.
    """
    given = [name.strip() for name in text.split(",") if name.strip()]
    if LOCALIZABILITY in given:
        raise InputError(f"--rewards {LOCALIZABILITY}: it asks a served model about a picture, so it cannot score a text file")
    try:
        names = [full_name(name, REWARDS) for name in given]
    except InputError as error:
        raise InputError(f"--rewards {error}") from None
    return list(dict.fromkeys(names)) or list(REWARDS)


def score_file(path: Path, rewards: str = "") -> list[tuple[int, dict[str, Score]]]:
    """Scores of every row as (row number from 1, scores by name).

    Raises:
        InputError: the file or a row of it is broken; names file, row and field.
    """
    names = reward_names(rewards)
    results: list[tuple[int, dict[str, Score]]] = []
    for number, (where, row) in enumerate(read_json_lines(path), start=1):
        if "completion" not in row:
            raise InputError(f"{where}: completion is missing; a row needs completion, solution and entities")
        try:
            results.append((number, {name: REWARDS[name](row["completion"], row) for name in names}))
        except InputError as error:
            raise InputError(f"{where}: {str(error).partition(': ')[2] or error}") from None
    if not results:
        raise InputError(f"{path}: holds no rows")
    return results
