"""What processes leave in TMPDIR goes with their run, and with the next one when the run was killed."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pipelines.local.temporary import LONGEST, PREFIX, temporary_folder

HOLD = "import sys, time\nfrom pipelines.local.temporary import temporary_folder\n" + (
    "with temporary_folder() as folder:\n (folder / 'left').mkdir(); print(folder, flush=True); time.sleep(600)\n"
)


@pytest.fixture
def place(monkeypatch):
    """A short folder for temporary files, empty."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


def held() -> tuple[subprocess.Popen, Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_the_folder_goes_with_all_that_is_in_it_whatever_happened(place):
    def fails() -> None:
        with temporary_folder() as folder:
            (folder / "torchinductor" / "x").mkdir(parents=True)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert list(place.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_and_a_running_ones_stays(place):
    killed, left = held()
    running, used = held()
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        (place / f"{PREFIX}of-a-file").touch()
        with temporary_folder() as folder:
            assert {path.name for path in place.iterdir()} == {used.name, folder.name, f"{PREFIX}of-a-file"}
            assert not left.exists()
            assert (used / "left").is_dir()
    finally:
        running.kill()
        running.wait()


def test_a_link_planted_under_its_name_is_not_followed(place, tmp_path):
    (tmp_path / "thesis.txt").write_text("the user's")
    (place / f"{PREFIX}planted").symlink_to(tmp_path)
    with temporary_folder():
        pass
    assert (tmp_path / "thesis.txt").exists()


def _listen(folder: str) -> None:
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None
    with multiprocessing.Manager() as manager:
        manager.list([1]).append(time.time())


@pytest.mark.parametrize("name", ["x", "x" * 100])
def test_sockets_have_room_below_it_however_long_the_users_own_path_is(place, monkeypatch, name):
    (place / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place / name))
    with temporary_folder() as folder:
        assert len(str(folder)) <= LONGEST
        process = multiprocessing.get_context("spawn").Process(target=_listen, args=(str(folder),))
        process.start()
        process.join()
        assert process.exitcode == 0
