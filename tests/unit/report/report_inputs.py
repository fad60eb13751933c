"""Lines of predictions.jsonl and figures for reports, small and with a known answer to everything."""

import io
from typing import Any

from PIL import Image

PARIS = {"city": "Paris", "country": "France", "lat_deg": 48.85341, "lon_deg": 2.3488}
LYON = {"city": "Lyon", "country": "France", "lat_deg": 45.74846, "lon_deg": 4.84671}
TOKYO = {"city": "Tokyo", "country": "Japan", "lat_deg": 35.6895, "lon_deg": 139.69171}
KM = {
    ("Paris", "Paris"): 0.0,
    ("Paris", "Lyon"): 392.2,
    ("Paris", "Tokyo"): 9711.6,
    ("Tokyo", "Tokyo"): 0.0,
    ("Tokyo", "Paris"): 9711.6,
}


def png(red: int, size_px: int = 56) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size_px, size_px), (red, 90, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def answered(
    i: int, answer: dict[str, Any] | None, reasoning: str = "red earth, palm trees", status: str = "ok"
) -> dict[str, Any]:
    """A line of predictions.jsonl for picture i; without an answer, `reasoning` is all that the model said."""
    truth = (PARIS if i < 6 else TOKYO) | {"localizable": True}
    if answer is None:
        empty = dict.fromkeys(("country", "city", "lat_deg", "lon_deg", "distance_km"))
        return {"id": f"p{i}", "status": status, "answer": reasoning, "truth": truth} | empty
    text = f"<think>{reasoning}</think><answer>country: {answer['country']}\ncity: {answer['city']}</answer>"
    distance = KM[str(truth["city"]), answer["city"]]
    return {"id": f"p{i}", "status": status, "answer": text, "truth": truth, "distance_km": distance} | answer


def metrics_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures in the shape of `globe score`; intervals are made up, so that a test can tell them from others."""
    share = {
        str(km): 100 * sum(r["distance_km"] is not None and r["distance_km"] <= km for r in records) / len(records)
        for km in (1, 25, 200, 750, 2500)
    }
    country = 100 * sum(r["country"] == r["truth"]["country"] for r in records) / len(records)
    intervals = {km: [round(value - 7.1, 1), round(value + 6.2, 1)] for km, value in share.items()}
    return {
        "n": len(records), "accuracy": share, "ci95": intervals | {"country_match": [41.7, 93.3]}, "median_km": 196.1,
        "mean_km": 1234.5, "geoscore": 3456.7, "country_match": country, "city_match": share["25"],
    }  # fmt: skip
