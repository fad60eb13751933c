"""One row and its scores, for the tests of the rewards that judge a place."""

from typing import Any

from globe.rewards import REWARDS

NAIROBI = {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.2833, "lon_deg": 36.8167}


def said(country: str, city: str) -> str:
    return f"<think>red earth</think><answer>country: {country}\ncity: {city}</answer>"


def score(name: str, completion: Any, **solution: Any) -> float:
    return REWARDS[name](completion, {"solution": {**NAIROBI, **solution}, "entities": []}).score
