"""A training by hand whose folder is on S3: its checkpoint lies where the user looks for it, and is found again."""

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from globe import storage
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from globe.errors import InputError
from globe.models.checkpoints import read_checkpoint
from globe.signing import KEY_VARIABLE
from globe.training.by_hand import sft_by_hand

from .tools import until


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
    settings = {"max_steps": 2, "save_steps": 1, "per_device_train_batch_size": 4}
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


class Bait:
    """Whoever unpickles it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def pushed(bucket) -> tuple[str, dict]:
    """The pointer to what a killed training has pushed, once it names a checkpoint."""
    keys = [key for key in bucket.names("mine") if key.endswith("unfinished.json")]
    pointer = json.loads(bucket.read(keys[0])) if keys else {"trees": []}
    return (keys or [""])[0], pointer if any("/optimizer.pt" in str(tree) for tree in pointer["trees"]) else {}


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_pushed_programs_that_the_runs_key_has_not_signed_are_not_taken_up_and_the_training_ends_as_if_undisturbed(
    bucket, data, tiny_model, another_machine, tmp_path, monkeypatch
):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef" * 2)
    asked = {"recipe": "demo", "data": str(data), "model": str(tiny_model)}
    settings = {"max_steps": 20, "save_steps": 1, "per_device_train_batch_size": 4}
    call = f"sft_by_hand(overrides={settings}, out={bucket.uri('mine')!r}, **{asked})"
    code = f"from globe.training.by_hand import sft_by_hand; {call}"
    environment = os.environ | {"GLOBE_PUSH_INTERVAL_S": "0.2"}
    first = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, start_new_session=True)
    until(lambda: first.poll() is not None or pushed(bucket)[1], "a checkpoint is pushed", 1200)
    assert first.poll() is None, first.stderr.read()
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()

    key, pointer = pushed(bucket)
    marker = tmp_path / "marker"
    planted = pickle.dumps(Bait(marker))
    for tree in pointer["trees"]:
        for name in [name for name in tree["files"] if name.endswith("/optimizer.pt")]:
            for path in (name, f"{name.rsplit('/', 1)[0]}/global_step1/mp_rank_00_model_states.pt"):
                bucket.write(f"{tree['uri'].removeprefix(bucket.uri(''))}/{path}", planted)
                tree["files"][path] = [hashlib.sha256(planted).hexdigest(), len(planted)]
    bucket.write(key, json.dumps(pointer))
    another_machine()

    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    made = sft_by_hand(overrides=settings, out=bucket.uri("mine"), **asked)
    left_alone = sft_by_hand(overrides=settings, out=str(tmp_path / "left-alone"), **asked)
    assert made["digest"] == left_alone["digest"]
    assert not marker.exists()
    told = (tmp_path / "events.jsonl").read_text()
    assert "cannot be used, starting anew" in told
    assert "was changed, or signed with another key" in told
