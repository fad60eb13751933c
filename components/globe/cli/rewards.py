"""`globe reward`: score completions with the training rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from globe.cli.options import JsonFlag, some_path
from globe.console import emit, one_line, to_json


def reward(
    file: Annotated[
        Path,
        typer.Argument(
            parser=some_path,
            metavar="FILE.jsonl",
            help="Rows: completion, solution {country, city, lat_deg, lon_deg}, entities [..].",
        ),
    ],
    rewards: Annotated[str, typer.Option(help="Names, separated by commas; all by default.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Score completions with the training rewards. One line a row, each score with its reason."""
    from globe.rewards.files import score_file

    rows = score_file(file, rewards)
    if as_json:
        emit(to_json({"row": number, "scores": {n: s._asdict() for n, s in scores.items()}}) for number, scores in rows)
        return
    emit(
        f"{number}\t" + "\t".join(f"{n} {s.score:.3f} ({one_line(s.reason)})" for n, s in scores.items())
        for number, scores in rows
    )


COMMANDS = (reward,)
