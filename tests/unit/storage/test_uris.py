"""Addresses and mirrors: each stands for the other, and neither leads anywhere else."""

import os
from pathlib import Path

import pytest

from globe.errors import InputError
from globe.storage import fetch, open_store
from globe.storage.uris import (
    SCRATCH_VARIABLE,
    Uri,
    check_name,
    input_mirror,
    located,
    make_scratch,
    parse,
    place_of,
    portable,
    store_mirror,
)


@pytest.fixture(autouse=True)
def _scratch(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_SCRATCH", str(tmp_path / "scratch"))


@pytest.mark.parametrize("text", ["s3://bucket/team/store", "s3://bucket/team/store/", "s3://bucket/store", "s3://bucket"])
def test_a_stores_mirror_and_its_address_stand_for_each_other(text):
    mirror = open_store(text)
    place = place_of(mirror / "sft" / "0123" / "checkpoint")
    assert place.root == parse(text)
    assert place.inner == ("sft", "0123", "checkpoint")
    assert mirror.is_dir()


def test_two_stores_have_two_mirrors():
    texts = ["s3://b-a/x/y", "s3://b-a/x", "s3://b-a", "s3://b-a/x-y", "s3://b-a/x.y"]
    assert len({store_mirror(parse(text)) for text in texts}) == len(texts)


def test_an_inputs_mirror_and_its_address_stand_for_each_other():
    uri = Uri("bucket", "models/Qwen+2/ä b.json")
    assert place_of(input_mirror(uri)).uri == uri


def test_a_path_outside_the_mirrors_stands_for_itself(tmp_path):
    assert [place_of(path) for path in (tmp_path, Path("relative"), tmp_path / "scratch", Path("s3:/bucket"))] == [None] * 4
    assert place_of(tmp_path / "scratch" / "stores" / ".." / ".." / "x") is None


@pytest.mark.parametrize(
    "text", ["s3://", "s3:///x", "s3://Upper/x", "s3://b", "s3://a_b/x", "s3://bucket/../x", "s3://bucket//x"]
)
def test_a_malformed_address_is_refused(text):
    with pytest.raises(InputError):
        parse(text)


@pytest.mark.parametrize("text", ["s3:/bucket/x", "S3://bucket/x", "gs://bucket/x", "https://host/x"])
def test_what_looks_like_an_address_is_never_taken_for_a_folder(text):
    for use in (open_store, fetch):
        with pytest.raises(InputError, match="not an S3 address"):
            use(text)


@pytest.mark.parametrize("text", ["s3://bucket/a+b", "s3://bucket/a b", "s3://bucket/ä", "s3://bucket/.hidden"])
def test_a_stores_prefix_that_a_mirror_could_not_be_read_back_from_is_refused(text):
    with pytest.raises(InputError, match="letters, digits"):
        open_store(text)


def test_an_address_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(InputError) as error:
        parse("s3://key:pass-word@bucket/x")
    assert "pass-word" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["..", "a/..", "/a", "a//b", "a/./b", "", "a\nb", "a\0b", "a\\b", "\x1b[31m", "x" * 256, "ä" * 128]
)
def test_a_name_that_no_file_should_have_is_refused(name):
    with pytest.raises(InputError):
        check_name(name, "s3://bucket")


@pytest.mark.parametrize("name", ["a", "a/b.c", "...", "a..b", "ä ö", "x" * 255, ".hidden"])
def test_other_names_are_taken_as_they_are(name):
    assert check_name(name, "s3://bucket") == name


def test_a_default_mirror_that_is_somebody_elses_link_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("GLOBE_SCRATCH")
    monkeypatch.setattr("globe.storage.uris.DEFAULT_SCRATCH", str(tmp_path / "link"))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="belongs to another user"):
        make_scratch()


def test_a_mirror_is_for_its_owner_only(tmp_path):
    make_scratch()
    assert os.stat(tmp_path / "scratch").st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("path", "written"),
    [("/s/sft/k/checkpoint", "sft/k/checkpoint"), ("/s", "."), ("/other/sft", "/other/sft"), ("/stores/x", "/stores/x")],
)
def test_a_path_below_the_store_is_relative_and_another_is_not(path, written):
    assert portable(path, Path("/s")) == written
    assert located(written, Path("/s")) == Path(path)


def test_a_path_can_be_relative_to_a_folder_of_the_store():
    written = portable("/s/sft/k/checkpoint", Path("/s"), Path("/s/grpo/m"))
    assert written == "../../sft/k/checkpoint"
    assert located(written, Path("/t/grpo/m")) == Path("/t/sft/k/checkpoint")


def test_a_mirrored_input_is_its_address_so_that_another_scratch_folder_serves_as_well(monkeypatch, tmp_path):
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "here"))
    written = portable(input_mirror(parse("s3://bucket/models/m")), tmp_path / "store")
    assert written == "s3://bucket/models/m"
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "there"))
    assert located(written, tmp_path) == tmp_path / "there" / "inputs" / "bucket" / "models" / "m"
