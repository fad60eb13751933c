"""A whole evaluation for reports: thousands of answers with long reasons, and figures in every key that metrics.json may have."""

import math
import random
from typing import Any

from globe.geo.distance import distance_km

CITIES = [
    ("Paris", "France", 48.853, 2.349), ("Lyon", "France", 45.748, 4.847), ("Tokyo", "Japan", 35.690, 139.692),
    ("Nairobi", "Kenya", -1.283, 36.817), ("Mombasa", "Kenya", -4.055, 39.664), ("Lima", "Peru", -12.043, -77.028),
    ("Cusco", "Peru", -13.523, -71.967), ("Toronto", "Canada", 43.700, -79.416), ("Austin", "United States", 30.267, -97.743),
    ("Perth", "Australia", -31.952, 115.861), ("Oslo", "Norway", 59.913, 10.746), ("Bangkok", "Thailand", 13.754, 100.501),
    ("Chiang Mai", "Thailand", 18.790, 98.985), ("Cairo", "Egypt", 30.063, 31.250), ("Jaipur", "India", 26.920, 75.788),
    ("Mumbai", "India", 19.073, 72.883), ("Berlin", "Germany", 52.524, 13.411), ("Porto", "Portugal", 41.150, -8.611),
]  # fmt: skip
SCENES = ("street", "coast", "indoor", "mountain", "market", "temple")
WORDS = (
    "The street signs, the tiled roofs and the row of plane trees suggest a temperate climate; the licence plates are long "
    "and white, the traffic keeps to the right, and the shop front shows an accent that is typical of this region."
)
CONTINENTS = {"Africa": 1901, "Asia": 3120, "Europe": 4480, "North America": 1320, "Oceania": 402, "South America": 777}


def many_records(n: int, seed: int = 0, skill: float = 0.6, extent_deg: float = 0.12) -> list[dict[str, Any]]:
    """Answers with a confidence that is a little too high, of every status, some only of a country."""
    rng = random.Random(seed)
    return [_record(i, rng, skill, extent_deg) for i in range(n)]


def _record(i: int, rng: random.Random, skill: float, extent_deg: float) -> dict[str, Any]:
    city, country, lat, lon = CITIES[i % len(CITIES)]
    place = {"lat_deg": lat + rng.gauss(0, extent_deg), "lon_deg": lon + rng.gauss(0, extent_deg)}
    truth = {"city": city, "country": country, "localizable": i % 17 > 0, "scene": SCENES[i % 7 % 6], **place}
    status = "ok" if i % 19 else rng.choice(["no_answer", "not_parsed", "not_geocoded", "cut_off", "call_failed"])
    reasons = " ".join(rng.sample(WORDS.split(), 30) * rng.randint(4, 12))
    record: dict[str, Any] = {"id": f"{i:05d}_{rng.getrandbits(40):010x}.jpg", "status": status, "truth": truth, "level": ""}
    record |= {"attempts": 1, "latency_s": round(rng.lognormvariate(0.3, 0.4), 3), "tokens": {"prompt": 1390, "completion": 240}}
    if status != "ok":
        failed = status == "call_failed"
        error = f"HTTP {rng.choice([429, 500])}: overloaded" if failed else ""
        return (
            record | {"answer": "" if failed else reasons, "error": error} | dict.fromkeys(("lat_deg", "lon_deg", "distance_km"))
        )
    sure = rng.betavariate(5, 2)
    named = (city, country, lat, lon) if rng.random() < skill * (0.5 + sure / 1.5) else rng.choice(CITIES)
    only_country = rng.random() < 0.06
    answer = f"<think>{reasons}</think><answer>country: {named[1]}\ncity: {'' if only_country else named[0]}</answer>"
    return record | {
        "answer": answer,
        "error": "",
        "country": named[1],
        "city": "" if only_country else named[0],
        "level": "country" if only_country else "city",
        "lat_deg": named[2],
        "lon_deg": named[3],
        "distance_km": distance_km(place["lat_deg"], place["lon_deg"], named[2], named[3]),
        "confidence": round(sure, 6),
    }


def further_keys(n: int) -> dict[str, Any]:
    """The keys that not every evaluation has, filled in with figures that fit together."""
    return {
        "country_level": {"count": n // 17, "percent": 100 * (n // 17) / n, "city_not_found": n // 90},
        "errors": {"HTTP 429: overloaded": 5, "timed out after 60 s": 3},
        "confidence": {"answer_probability": _confidence(n), "agreement": _confidence(n // 2)},
        "abstention": {"n": n, "localizable": n - n // 17, "by": "answer_probability", "auroc": 0.7312, "ci95": [0.7011, 0.7598]},
        "radius": {
            "level_percent": 90.0, "by": "answer_probability", "calibrated_on": n // 2, "measured_on": n - n // 2,
            "coverage_percent": 89.61, "ci95": [88.8, 90.4], "median_radius_km": 412.7,
            "continents": {
                name: {"n": size // 2, "coverage_percent": 90 - 3.0 * i, "ci95": [84 - 4.0 * i, 94 - 2.0 * i]}
                for i, (name, size) in enumerate(CONTINENTS.items())
            },
        },
        "grounding": {"n": n, "named": 41210, "in_picture": 26374, "percent": 64.0, "ci95": [63.1, 64.9]},
        "image_swap": {
            "n": n, "own_percent": 64.0, "same_country_percent": 51.2, "other_country_percent": 33.8,
            "ci95": {"own_percent": [63.1, 64.9], "same_country_percent": [50.1, 52.3], "other_country_percent": [32.9, 34.7]},
            "own_minus_same_country": {"difference": 12.8, "ci95": [11.9, 13.7]},
            "own_minus_other_country": {"difference": 30.2, "ci95": [29.2, 31.2]},
        },
        "recall_area": [
            {
                "radius_km": km, "answers": k, "n": n, "area_km2": 3.14 * km**2 * k**0.8,
                "recall_percent": share + 4.4 * math.log2(k),
            }
            for km, share in ((1, 4.0), (25, 37.2), (200, 51.0), (750, 64.2), (2500, 79.1))
            for k in range(1, 9)
        ],
        "dataset": {
            "name": "im2gps3k", "rows_expected": 2997, "rows": 2995, "usable": 2989, "source": "https://example.org/im2gps3k",
            "unusable": {"file_missing": {"n": 6, "first": ["a.jpg"]}, "row_not_in_table": {"n": 2, "first": []}},
            "licence": "CC BY-NC",
        },
        "manifest": {
            "model": "GLOBE-Qwen2.5VL-7B", "model_digest": "9b1d" * 16, "server_version": "vLLM 0.32.0", "url_host": "gpu1:8000",
            "prompt": "You are an expert in geo-localization.\n\nWhere was this picture taken? " + "Think step by step. " * 20,
            "prompt_sha256": "77aa" * 16, "temperature": 0.1, "seed": 0, "max_tokens": 512, "dataset_digest": "5f2c" * 16,
            "gazetteer_version": "2026-11", "git_revision": "2a10c4f", "globe_version": "0.1.0",
        },
        "timing": {
            "wall_s": 1874.2, "images_per_s": 6.4, "latency_s": {"p50": 1.31, "p95": 4.02},
            "first_token_s": {"p50": 0.21, "p95": 0.8}, "token_s": {"p50": 0.0046, "p95": 0.0091},
            "tokens": {"prompt": 16_680_000, "completion": 2_880_000}, "retried": 31, "failed_calls": 8,
        },
        "expected": {
            "dataset": "im2gps3k", "n": n, "within_25_km_percent": [37.0, 40.0], "measured_percent": 38.1, "ci95": [36.4, 39.9],
            "outcome": "as expected",
        },
        "intervals": "95%. Shares: Wilson score interval. Median, mean and GeoScore: percentile bootstrap of 1000 rounds.",
    }  # fmt: skip


def _confidence(n: int) -> dict[str, Any]:
    bins = [
        {
            "low": i / 10, "high": (i + 1) / 10, "n": n * (1 + i) // 55, "confidence_percent": 10.0 * i + 5,
            "right_percent": 7.4 * i + 4, "ci95": [7.4 * i + 1, 7.4 * i + 8],
        }
        for i in range(10)
    ]  # fmt: skip
    curve = [{"coverage_percent": float(x), "right_percent": 92 - 0.55 * x} for x in range(1, 101)]
    return {"n": n, "ignored": 2, "ece_percent": 17.31, "bins": bins, "risk_coverage": curve, "aurc": 0.3612}
