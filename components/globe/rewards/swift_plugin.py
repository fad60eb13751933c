"""Register every reward under its name with ms-swift 4.6 (`--external_plugins` loads this file by path).

A dataset row carries `row`, a JSON object with `solution` and `entities`, and `picture`, the path of its image.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from swift.rewards import ORM, AsyncORM, orms

from globe.data.images import data_url
from globe.rewards import BATCH_REWARDS, LOCALIZABILITY
from globe.rewards.batch import Batch, batches
from globe.rewards.localizability import RewardService


@lru_cache(maxsize=1)
def _batches(completions: tuple[str, ...], rows: tuple[str, ...]) -> list[Batch]:
    """ms-swift gives the same completions to one reward after the other: they are read once for all of them."""
    known = {text: json.loads(text) for text in dict.fromkeys(rows)}
    return batches(completions, [known[text] for text in rows])


def _text_reward(name: str) -> type[ORM]:
    scores = BATCH_REWARDS[name]

    class TextReward(ORM):
        def __call__(self, completions: list[str], row: list[str], **_: Any) -> list[float]:
            return [score for batch in _batches(tuple(completions), tuple(row)) for score in scores(batch)]

    TextReward.__name__ = TextReward.__qualname__ = name
    return TextReward


class Localizability(AsyncORM):
    """Asks the reward service named by GLOBE_REWARD_URL and GLOBE_REWARD_MODEL."""

    async def __call__(self, completions: list[str], picture: list[str], **_: Any) -> list[float]:
        """P(yes) of each completion about its picture."""
        service = RewardService(
            os.environ["GLOBE_REWARD_URL"],
            os.environ["GLOBE_REWARD_MODEL"],
            float(os.environ.get("GLOBE_REWARD_TIMEOUT_S", "60")),
        )
        pictures = [data_url(Path(path).read_bytes()) for path in picture]
        return await service.probabilities(pictures, completions)


for _name in BATCH_REWARDS:
    orms[_name] = _text_reward(_name)
Localizability.__name__ = LOCALIZABILITY
orms[LOCALIZABILITY] = Localizability
