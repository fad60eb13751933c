"""world.json as it is read: strictly, with one clear line where it is not as it should be."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from globe.demo.truth import ErrorRates, is_world, load_truth, load_world, pixel_hash
from globe.errors import InputError


def test_a_folder_without_or_with_a_damaged_world_json_is_refused_in_one_line(tmp_path: Path) -> None:
    assert not is_world(tmp_path)
    with pytest.raises(InputError, match=r"world\.json"):
        load_truth(tmp_path)
    (tmp_path / "world.json").write_text('{"seed": "x"}')
    with pytest.raises(InputError, match="write the world again") as caught:
        load_truth(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_truth_is_that_of_the_file_picture_by_picture(small_world: Path) -> None:
    assert is_world(small_world)
    file = json.loads((small_world / "world.json").read_text())
    assert {name: truth.model_dump() for name, truth in load_truth(small_world).items()} == file["truth"]
    assert load_world(small_world).seed == 7


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (lambda file: file.pop("seed"), "seed"),
        (lambda file: file.update(colour="red"), "colour"),
        (lambda file: file["rates"].update(timeout=1.5), r"rates\.timeout"),
        (lambda file: file["truth"]["toy-00000"].update(lat_deg="north"), r"truth\.toy-00000\.lat_deg"),
    ],
)
def test_a_field_that_is_missing_unknown_or_wrong_is_named(small_world: Path, tmp_path: Path, changed, named: str) -> None:
    file = json.loads((small_world / "world.json").read_text())
    changed(file)
    (tmp_path / "world.json").write_text(json.dumps(file))
    with pytest.raises(InputError, match=rf"world\.json: {named}: "):
        load_world(tmp_path)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_lies_between_0_and_1(rate: float) -> None:
    with pytest.raises(ValidationError, match="wrong_country"):
        ErrorRates(wrong_country=rate)


def test_a_picture_has_one_hash_whatever_lossless_file_it_was_in_and_another_size_or_pixel_another() -> None:
    picture = Image.linear_gradient("L").resize((12, 8)).convert("RGB")
    for kind in ("PNG", "BMP"):
        file = io.BytesIO()
        picture.save(file, kind)
        assert pixel_hash(Image.open(file).convert("RGB")) == pixel_hash(picture)
    turned = Image.frombytes("RGB", (8, 12), picture.tobytes())
    assert pixel_hash(turned) != pixel_hash(picture)
    picture.putpixel((0, 0), (9, 9, 9))
    assert pixel_hash(picture) != pixel_hash(Image.linear_gradient("L").resize((12, 8)).convert("RGB"))
