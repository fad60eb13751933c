"""The reward model's rows: both verdicts alike, and no text that gives a verdict away."""

from collections.abc import Iterable
from itertools import chain, cycle, islice
from pathlib import Path

from globe.data.rows import Row
from globe.files import json_line
from globe.training.rows import Pictures, verdict_row


def export_verdicts(rows: Iterable[Row], path: Path, pictures: Path, held_out: list[Row], balance: bool) -> int:
    """Write the rows to train on as JSON lines, and their pictures as files beside them.

    In memory are the texts of these rows, and not their pictures.

    Args:
        rows: Curation's rows of the reward model.
        path: The JSON-lines file.
        pictures: Folder for the image files.
        held_out: Gets the rows that are not trained on.
        balance: Repeat rows of the rarer verdict, until both are equally common.

    Returns:
        How many of the rows are trained on; 0 if they all have one verdict, and then there is no such file.
    """
    training: list[Row] = []
    files: dict[str, str] = {}
    with Pictures(pictures) as stored:
        for row in rows:
            if row.split == "test":
                held_out.append(row)
                continue
            files[row.id] = str(stored.put(row))
            training.append(row.model_copy(update={"image": b""}))
    if len({row.localizable for row in training}) < 2:
        return 0
    seen = training + borrowed(training)
    with path.open("w", encoding="utf-8") as file:
        for row in balanced(seen) if balance else seen:
            file.write(json_line(verdict_row(row, Path(files[row.id]))))
    return len(training)


def borrowed(rows: list[Row]) -> list[Row]:
    """The pictures that cannot be located, each with the text of one that can.

    A teacher's own words about such a picture ("only fog, no clue") would give the verdict away, while a policy in training names
    a place with reasons all the same. So the judge must learn to look at the picture, and is measured where only looking helps.
    Rows that curation made to be told "no" have pictures that can be located, and stay as they are.
    """
    donors = cycle([row for row in rows if row.localizable])
    text = ("reasoning", "country", "city")
    return [
        row.model_copy(update={name: getattr(donor, name) for name in text})
        for row, donor in zip((row for row in rows if row.localizable is False and not row.made), donors, strict=False)
    ]


def balanced(rows: list[Row]) -> list[Row]:
    """Repeat rows of the rarer verdict until both are equally common; the two take turns."""
    yes = [row for row in rows if row.localizable]
    no = [row for row in rows if not row.localizable]
    longest = max(len(yes), len(no))
    return list(chain.from_iterable(zip(islice(cycle(yes), longest), islice(cycle(no), longest), strict=True)))
