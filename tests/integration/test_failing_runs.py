"""Short runs as a user starts them: of a home that was moved, on a full disk, over bad input that only a stage can see."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(1800)
ROOT = Path(__file__).parents[2]
SMALL = ("--pipeline=curation", "--set=source.toy_pictures=40")


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipelines", "run", "smoke", "--plain", f"--home={home}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    for foreign in ("Traceback", "\x1b", "KFP"):
        assert foreign not in done.stdout + done.stderr
    return done


def ends(home: Path) -> dict[str, dict]:
    """The last word of each stage of the latest run."""
    latest = max((home / "history").iterdir(), key=lambda path: path.stat().st_ctime)
    events = [json.loads(line) for line in (latest / "events.jsonl").read_text().splitlines()]
    return {event["stage"]: event for event in events if event["kind"] in ("done", "reused", "failed")}


@contextmanager
def disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("root may not mount a file system here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """One for temporary files, whose path leaves room for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        yield Path(folder)


def test_a_home_that_was_moved_is_reused_and_no_path_leads_back(tmp_path):
    first = run(tmp_path / "old", *SMALL)
    assert first.returncode == 0, first.stdout + first.stderr
    shutil.move(tmp_path / "old", tmp_path / "new")
    again = run(tmp_path / "new", *SMALL)
    assert again.returncode == 0, again.stdout + again.stderr
    told = ends(tmp_path / "new")
    assert {told[stage]["kind"] for stage in ("source", "annotate", "curation")} == {"reused"}
    assert all(event["output"].startswith(str(tmp_path / "new")) for event in told.values() if "output" in event)
    assert str(tmp_path / "old") not in again.stdout
    store = [path for path in (tmp_path / "new" / "store").rglob("*.json*") if path.is_file()]
    assert [path for path in store if str(tmp_path) in path.read_text()] == []


def test_bad_input_that_only_a_stage_can_see_is_one_line_and_leaves_no_temporary_files(tmp_path, short_folder, monkeypatch):
    """The photos are there, and not one of them says where it was taken."""
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("TMPDIR", str(short_folder))
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photos" / "a.jpg")
    places = {"source": tmp_path / "photos", "teachers": "a@http://127.0.0.1:9/v1,b@http://127.0.0.1:9/v1"}
    done = run(tmp_path / "home", "--pipeline=curation", *(f"--set={key}={value}" for key, value in places.items()))
    assert done.returncode == 2, done.stdout + done.stderr
    told = done.stdout[done.stdout.index("failed  stage source\n") :].splitlines()
    assert told[1].startswith("photos: 1 of 1 rows (100.0%) cannot be used: 1 no_position (first: a.jpg)")
    assert told[2].startswith(f"log     {tmp_path}/home/history/")
    assert len(told) == 3
    assert list(short_folder.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("size", ["64k", "400k"])
def test_a_disk_that_is_or_gets_full_is_one_line_that_names_it_and_the_next_run_goes_on(tmp_path, size):
    home = tmp_path / "disk" / "home"
    with disk(tmp_path / "disk", size):
        if size == "64k":
            (tmp_path / "disk" / "big").write_bytes(b"x" * 61_000)
        done = run(home, *SMALL)
        assert done.returncode == 1, done.stdout + done.stderr
        told = [line for line in (done.stdout + done.stderr).splitlines() if "No space left" in line or "no space left" in line]
        assert told
        assert all(str(home) in line for line in told)
        if size == "64k":
            return  # nothing was begun
        subprocess.run(["mount", "-o", "remount,size=256m", tmp_path / "disk"], check=True)
        again = run(home, *SMALL)
        assert again.returncode == 0, again.stdout + again.stderr
