"""A training by hand whose folder is on S3: its checkpoint lies where the user looks for it, and is found again."""

import io
import json
from pathlib import Path

import pytest

from globe import storage
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from globe.errors import InputError
from globe.models.checkpoints import read_checkpoint
from globe.training.by_hand import sft_by_hand


@pytest.fixture
def data(tmp_path) -> Path:
    rows = []
    for number, city in enumerate(all_cities()[:8]):
        file = io.BytesIO()
        draw_scene(city, seed=number).save(file, "PNG")
        place = {"lat_deg": city.lat_deg, "lon_deg": city.lon_deg, "country": city.country, "city": city.name}
        rows.append(Row(id=str(number), image=file.getvalue(), split="train", reasoning="a road", **place))
    write_dataset(tmp_path / "curated" / "sft", rows)
    return tmp_path / "curated"


def test_a_checkpoint_trained_by_hand_lies_on_s3_and_is_found_again_elsewhere(bucket, data, tiny_model, another_machine):
    asked = {"recipe": "demo", "data": str(data), "model": str(tiny_model), "out": bucket.uri("mine/sft")}
    settings = {"max_steps": 2, "save_steps": 1, "per_device_batch_size": 4}
    made = sft_by_hand(overrides=settings, **asked)
    assert made["checkpoint"] == bucket.uri("mine/sft/checkpoint")
    assert json.loads(bucket.read("mine/sft/checkpoint/globe-checkpoint.json"))["digest"] == made["digest"]
    another_machine()
    pulled = read_checkpoint(Path(storage.fetch(made["checkpoint"])))
    assert pulled.digest == made["digest"]
    assert (pulled.path / "model.safetensors").read_bytes() == bucket.read("mine/sft/checkpoint/model.safetensors")
    again = sft_by_hand(overrides=settings, **asked)
    assert (again["reused"], again["digest"]) == (True, made["digest"])
    with pytest.raises(InputError, match="max steps was '2' and is now '3'"):
        sft_by_hand(overrides=settings | {"max_steps": 3}, **asked)
