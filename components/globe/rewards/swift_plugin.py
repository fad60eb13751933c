"""Register every reward under its name with ms-swift 4.6 (`--external_plugins` loads this file by path).

A dataset row carries `row`, a JSON object with `solution` and `entities`, and `picture`, the path of its image.
"""

import json
from pathlib import Path
from typing import Any

from swift.rewards import ORM, AsyncORM, orms

from globe.data.images import data_url
from globe.rewards import LOCALIZABILITY, REWARDS
from globe.rewards.told import service_told


def _text_reward(name: str) -> type[ORM]:
    score = REWARDS[name]

    class TextReward(ORM):
        def __call__(self, completions: list[str], row: list[str], **_: Any) -> list[float]:
            if len(completions) != len(row):
                raise ValueError(f"{len(completions)} completions, but {len(row)} rows")
            return [score(completion, json.loads(text)).score for completion, text in zip(completions, row, strict=True)]

    TextReward.__name__ = TextReward.__qualname__ = name
    return TextReward


class Localizability(AsyncORM):
    """Asks the reward service; a completion that it does not take has no score, and `swift_missing_scores` leaves it out."""

    async def __call__(self, completions: list[str], picture: list[str], **_: Any) -> list[float | None]:
        """P(yes) of each completion about its picture."""
        urls = {path: data_url(Path(path).read_bytes()) for path in set(picture)}  # a group shares its picture
        return await service_told().scores([urls[path] for path in picture], completions)


for _name in REWARDS:
    orms[_name] = _text_reward(_name)
Localizability.__name__ = LOCALIZABILITY
orms[LOCALIZABILITY] = Localizability
