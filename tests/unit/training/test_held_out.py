"""Rows that GRPO is measured on: which ones they are, and that nothing of them is trained on."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from globe.data.rows import Row
from globe.errors import InputError
from globe.training.held_out import REWARD_VARIABLE, STEPS_VARIABLE, HeldOut, hold_out, measured_reward, measuring, split_rows
from globe.training.rows import prompt_row


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def row(name: str, shade: int) -> Row:
    return Row(id=name, image=picture(shade), lat_deg=1, lon_deg=2, country="Kenya", city="Nairobi", split="train")


POOL = [row(f"r{index}", index) for index in range(20)]


def test_which_rows_are_held_out_depends_on_their_pictures_and_the_seed_alone():
    chosen = hold_out(POOL, 6, seed=1)
    assert len(chosen.measured) == 6
    assert hold_out(reversed(POOL), 6, seed=1) == chosen
    renamed = hold_out([row(f"other-{index}", index) for index in range(20)], 6, seed=1)
    assert {name.removeprefix("other-") for name in renamed.measured} == {name.removeprefix("r") for name in chosen.measured}
    assert hold_out(POOL, 6, seed=2) != chosen


def test_more_rows_to_measure_on_are_the_same_and_further_ones():
    assert hold_out(POOL, 3, seed=1).measured < hold_out(POOL, 6, seed=1).measured


def test_a_held_out_picture_is_not_trained_on_under_another_name(tmp_path):
    pool = [*POOL, *(row(f"twin-{index}", index) for index in range(20))]
    chosen = hold_out(pool, 6, seed=1)
    assert len(chosen.measured) == len(chosen.twins) == 6
    noted: list[str] = []
    files = split_rows(pool, chosen, prompt_row, tmp_path, lambda rows: (noted.append(row.id) or row for row in rows))
    trained, measured = ([json.loads(line) for line in path.read_text().splitlines()] for path in (files.train, files.held_out))
    assert files.count == len(trained) == len(noted) == 28
    assert not chosen.measured & set(noted)
    assert len({entry["picture"] for entry in measured}) == len(measured) == 6
    assert not {entry["picture"] for entry in trained} & {entry["picture"] for entry in measured}
    assert all(Path(entry["picture"]).exists() for entry in measured)


def test_nothing_is_held_out_unless_it_is_asked_for(tmp_path):
    assert hold_out(POOL, 0, seed=1) == HeldOut()
    assert split_rows(POOL, HeldOut(), prompt_row, tmp_path).count == 20


def test_more_than_half_of_a_pool_is_refused_with_the_fields_name():
    with pytest.raises(InputError, match=r"grpo.eval_rows \(11\): the pool has 20 different pictures"):
        hold_out(POOL, 11, seed=1)


@pytest.mark.parametrize(("weights", "name"), [
    ({"format": 1.0, "accuracy": 1.0}, "accuracy"),
    ({"distance": 1.0, "format": 1.0}, "distance"),
    ({"distance": 1.0, "accuracy": 0.5}, "accuracy"),
    ({"localizability": 1.0}, "accuracy"),
])  # fmt: skip
def test_a_training_is_measured_by_how_well_it_finds_the_place(weights, name):
    assert measured_reward(weights) == name
    told = measuring(Path("rows.jsonl"), 25, weights)
    assert (told[REWARD_VARIABLE], told[STEPS_VARIABLE]) == (name, "25")
