"""Rows as ms-swift reads them: pictures as files, texts from the one grammar, truth for the rewards."""

import io
import json
import multiprocessing
import resource
import signal
from functools import partial

import pytest
from PIL import Image

from globe.answer.parse import parse
from globe.answer.prompt import PROMPT
from globe.data.rows import Row
from globe.errors import InputError
from globe.rewards.localizability import QUESTION
from globe.training.rows import answer_row, export, prompt_row, verdict_row


def row(identity: str = "a/../b", colour: int = 0) -> Row:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(file, "PNG")
    return Row(
        id=identity,
        image=file.getvalue(),
        lat_deg=48.9,
        lon_deg=2.4,
        country="France",
        city="Paris",
        split="train",
        reasoning="a tower",
        entities=["tower"],
        localizable=False,
    )


def exported(tmp_path, *pairs):
    count = export(pairs, tmp_path / "train.jsonl", tmp_path / "pictures")
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert count == len(lines)
    return lines


def test_an_answer_row_teaches_what_the_parser_reads(tmp_path):
    (line,) = exported(tmp_path, (row(), answer_row))
    user, assistant = line["messages"]
    assert user["content"] == f"<image>{PROMPT}"
    answer = parse(assistant["content"])
    assert (answer.reasoning, answer.country, answer.city, answer.complete) == ("a tower", "France", "Paris", True)


def test_a_verdict_row_asks_the_reward_services_own_question(tmp_path):
    (line,) = exported(tmp_path, (row(), verdict_row))
    assert line["messages"][0]["content"].startswith(f"<image>{QUESTION}\n<think>")
    assert line["messages"][1]["content"] == "no"


def test_a_prompt_row_carries_the_truth_and_no_answer(tmp_path):
    (line,) = exported(tmp_path, (row(), prompt_row))
    assert len(line["messages"]) == 1
    truth = json.loads(line["row"])
    assert truth["solution"] == {"country": "France", "city": "Paris", "lat_deg": 48.9, "lon_deg": 2.4}
    assert truth["entities"] == ["tower"]


def test_pictures_lie_in_their_folder_whatever_an_id_says_and_once_for_equal_ones(tmp_path):
    lines = exported(tmp_path, (row("../../x"), prompt_row), (row("y"), prompt_row), (row("z", colour=9), prompt_row))
    files = list((tmp_path / "pictures").iterdir())
    assert len(files) == 2
    assert {line["picture"] for line in lines} == {str(file) for file in files}
    assert all(Image.open(line["images"][0]).size == (8, 8) for line in lines)


def test_a_picture_that_the_trainer_could_not_decode_is_told_by_its_row(tmp_path):
    huge = io.BytesIO()
    Image.new("1", (8000, 8000)).save(huge, "PNG")
    with pytest.raises(InputError, match=r"row 'z': its picture: 8000 x 8000 is over 50000000 pixels"):
        exported(tmp_path, (row().model_copy(update={"id": "z", "image": huge.getvalue()}), prompt_row))


def test_rows_ask_with_the_prompt_that_they_are_given(tmp_path):
    given = partial(answer_row, prompt="Which town?"), partial(prompt_row, prompt="Which town?")
    lines = exported(tmp_path, *((row(), shape) for shape in given))
    assert [line["messages"][0]["content"] for line in lines] == ["<image>Which town?"] * 2
    assert exported(tmp_path, (row(), prompt_row))[0]["messages"][0]["content"] == f"<image>{PROMPT}"


def test_a_picture_that_a_full_disk_has_cut_is_written_again(tmp_path):
    """In a process of its own, whose files may not grow beyond half a picture."""
    rows = [(row(), answer_row)]
    half = len(rows[0][0].image) // 2

    def export_with_little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))
        export(rows, tmp_path / "train.jsonl", tmp_path / "pictures")

    child = multiprocessing.get_context("fork").Process(target=export_with_little_room)
    child.start()
    child.join()
    assert child.exitcode == 1
    export(rows, tmp_path / "train.jsonl", tmp_path / "pictures")
    assert [path.read_bytes() for path in (tmp_path / "pictures").glob("*.png")] == [rows[0][0].image]
