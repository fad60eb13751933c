import asyncio
import os
import re
import socket
from pathlib import Path

import pytest

from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.client import TeacherClient
from globe.curation.teachers.named import (
    SIMULATED,
    asked_teachers,
    named_teachers,
    parse_teachers,
    teachers_code,
    teachers_inputs,
    weights_among,
)
from globe.curation.teachers.questions import about_picture, picture_key
from globe.curation.teachers.replies import CoordinateReply
from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import toy_scene
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError


def test_teachers_are_named_by_model_and_url_separated_by_commas():
    teachers = parse_teachers(" a@http://host:1/v1, ,coordinates:b@http://host:2/v1 ")
    assert [(teacher.kind, teacher.model, teacher.url) for teacher in teachers] == [
        ("vlm", "a", "http://host:1/v1"),
        ("coordinates", "b", "http://host:2/v1"),
    ]


@pytest.mark.parametrize("text", ["", " , "])
def test_no_teacher_is_an_error_that_says_how_to_name_one(text):
    with pytest.raises(InputError, match=r"teachers: name them as MODEL@URL"):
        parse_teachers(text)


def test_named_teachers_are_taken_as_they_are(tmp_path):
    with named_teachers("a@http://host:1/v1", tmp_path) as teachers:
        assert [teacher.model for teacher in teachers] == ["a"]
    assert teachers_code("a@http://host:1/v1") == ()


def test_the_simulated_ones_run_as_long_as_they_are_needed(tmp_path):
    write_world(tmp_path, pictures=6)
    with named_teachers(SIMULATED, tmp_path) as teachers:
        assert [teacher.kind for teacher in teachers] == ["vlm", "vlm", "coordinates"]
    assert teachers_code(SIMULATED) == ("globe.demo.teacher_server",)


def test_a_witness_without_a_url_is_one_that_the_run_starts_itself():
    text = "a@http://host:1/v1,segmentation:owner/name,coordinates:geoclip"
    teachers = parse_teachers(text)
    assert [teacher.spec for teacher in teachers] == ["a@http://host:1/v1", "segmentation:owner/name", "coordinates:geoclip"]
    assert teachers_code(text) == ("globe.witness.coordinates", "globe.witness.segmentation")


def test_weights_of_a_folder_count_as_they_are_now_and_not_as_they_are_called(tmp_path):
    (tmp_path / "model" / "inner").mkdir(parents=True)
    weights = tmp_path / "model" / "inner" / "weights.safetensors"
    text, found = f"a@http://host:1/v1,segmentation:{tmp_path / 'model'},alignment:owner/name", []
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        found.append(teachers_inputs(text))
    assert found[0] == found[2] != found[1]
    assert list(found[0]) == ["segmentation weights"]
    assert teachers_inputs(SIMULATED) == {}


def bytes_read() -> int:
    """By this process, so far."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


def test_weights_are_read_once_and_again_when_they_were_written_to_behind_everybodys_back(tmp_path):
    weights = tmp_path / "model" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(bytes(8 << 20))
    text, told, read = f"segmentation:{tmp_path / 'model'}", [], []
    for content in (None, None, b"one", None):
        if content:
            written = weights.stat()
            with weights.open("r+b") as file:
                file.write(content)
            os.utime(weights, ns=(written.st_atime_ns, written.st_mtime_ns))  # of the same size and time
        before = bytes_read()
        told.append(teachers_inputs(text))
        read.append(bytes_read() - before >= 8 << 20)
    assert read == [True, False, True, False]
    assert told[0] == told[1] != told[2] == told[3]


def test_who_was_asked_is_told_without_starting_anybody_by_the_weights_of_then(tmp_path):
    folder = tmp_path / "model"  # which nobody could load
    folder.mkdir()
    text = f"a@http://host:1/v1,segmentation:{folder},alignment:owner/name"
    weights = teachers_inputs(text)
    (folder / "more.json").write_text("{}")
    assert weights_among({"data": "d", **weights}) == weights != teachers_inputs(text)
    teachers = asked_teachers(text, weights)
    assert [(one.spec, one.weights) for one in teachers] == [
        ("a@http://host:1/v1", ""),
        ("segmentation:model", weights["segmentation weights"]),
        ("alignment:owner/name", ""),
    ]
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"segmentation:.*/model: no such folder any more"):
        asked_teachers(text, weights)


def test_simulated_teachers_that_were_asked_are_those_that_run(tmp_path):
    write_world(tmp_path, pictures=6)
    with named_teachers(SIMULATED, tmp_path) as teachers:
        running = [(one.spec, one.identity) for one in teachers]
    assert [(one.spec, one.identity) for one in asked_teachers(SIMULATED, {})] == running
    assert not any("127.0.0.1" in spec for spec, _ in running)


def test_of_two_folders_of_one_name_each_has_its_own_questions(tmp_path):
    keys = []
    for place, content in (("here", "one"), ("there", "two"), ("copy", "one")):
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_text(content)
        text = f"segmentation:{folder}"
        (witness,) = asked_teachers(text, teachers_inputs(text))
        assert witness.model == "model"
        keys.append(picture_key(witness, b"picture"))
    assert keys[0] == keys[2] != keys[1]


def test_a_model_of_a_folder_and_one_elsewhere_are_not_taken_for_servers_of_one(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "model").mkdir(parents=True)
    mine = f"segmentation:{tmp_path}/here/model"
    for text in (f"{mine},segmentation:model@http://host:1/v1", f"segmentation:model@http://host:1/v1,{mine}"):
        with pytest.raises(
            InputError, match=r"teacher model is named with a URL and without: .* give all its URLs \(globe witness"
        ):
            parse_teachers(text)
    with pytest.raises(InputError, match=r"teacher model is named as segmentation and as alignment; .* \(a folder's own name is"):
        parse_teachers(f"{mine},alignment:{tmp_path}/there/model")


def test_a_witness_whose_folder_was_changed_before_it_was_loaded_is_not_asked(tiny_witnesses, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = f"alignment:{tiny_witnesses.alignment}"
    earlier = {"alignment weights": "0" * 64}
    with (
        pytest.raises(GlobeError, match=r"alignment:.*tiny-sentences: a folder was changed"),
        named_teachers(text, tmp_path, earlier),
    ):
        pytest.fail("asked")


def test_two_of_a_kind_are_not_started_by_one_run():
    with pytest.raises(InputError, match=r"a run starts one segmentation model of its own; .*globe witness"):
        parse_teachers("segmentation:a/b,segmentation:c/d")


def test_a_started_witness_is_asked_as_any_teacher_and_ends_with_the_block(tiny_witnesses, tmp_path, monkeypatch):
    from geoclip import GeoCLIP

    for name, value in {"HF_HUB_CACHE": str(tiny_witnesses.hub_cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    image = png(toy_scene(2)[0])
    (tmp_path / "scene.png").write_bytes(image)
    package = GeoCLIP.from_pretrained(str(tiny_witnesses.coordinates), cache_dir=tiny_witnesses.hub_cache, local_files_only=True)
    expected = package.predict(str(tmp_path / "scene.png"), top_k=1)[0][0].tolist()

    async def ask(teacher):
        async with TeacherClient(teacher, CurationRecipe(retries=0)) as client:
            return await client.ask(about_picture(teacher, "scene", b"", data_url(image)), last=True)

    text = f"a@http://host:1/v1,coordinates:{tiny_witnesses.coordinates}"
    with named_teachers(text, tmp_path) as (other, witness):
        assert (other.model, witness.model, witness.kind) == ("a", "tiny-geoclip", "coordinates")
        assert (other.weights, witness.weights) == ("", teachers_inputs(text)["coordinates weights"])
        record = asyncio.run(ask(witness))
    assert isinstance(record.coordinates, CoordinateReply), record
    assert [record.coordinates.lat_deg, record.coordinates.lon_deg] == expected
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(witness.url.split(":")[2].removesuffix("/v1"))))


def test_whoever_names_simulated_teachers_outside_of_a_pipeline_is_told_how_to_start_them():
    with pytest.raises(InputError, match=r"works in a pipeline .* start python -m globe\.demo\.teacher_server"):
        parse_teachers(SIMULATED)
