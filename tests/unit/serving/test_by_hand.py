"""What a server that a command starts leaves behind: nothing, or the log that says why it failed."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from globe.errors import GlobeError, InputError
from globe.serving.by_hand import LOG_KEPT_S, PREFIX, require_name, server_folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def fill(folder):
    (folder / "serving-x.log").write_text("why")
    (folder / "x.json").write_text("{}")
    (folder / "cache").mkdir()


def fail():
    """A server that ends by itself; the folder that it had."""
    try:
        with server_folder() as folder:
            fill(folder)
            raise GlobeError("it ended")
    except GlobeError:
        return folder


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), InputError("a mistake")])
def test_an_ended_server_leaves_nothing(temporary, error):
    try:
        with server_folder() as folder:
            fill(folder)
            if error:
                raise error
    except (KeyboardInterrupt, InputError):
        pass
    assert list(temporary.iterdir()) == []


GONE = 2**22 + 1
"""A process number that Linux never gives."""


def test_a_failed_server_leaves_its_log_for_a_day(temporary):
    folder = fail()
    assert [path.name for path in folder.iterdir()] == ["serving-x.log"]
    left = folder.rename(temporary / f"{PREFIX}{GONE}-left")
    with server_folder() as running:
        assert set(temporary.iterdir()) == {running, left}
    os.utime(left / "serving-x.log", times=(time.time() - LOG_KEPT_S - 1,) * 2)
    with server_folder() as running:
        assert list(temporary.iterdir()) == [running]


def test_what_a_killed_command_has_left_goes_with_the_next_one(temporary):
    left = temporary / f"{PREFIX}{GONE}-left"
    left.mkdir()
    fill(left)
    with server_folder() as running:
        assert list(temporary.iterdir()) == [running]


def test_an_engine_that_a_killed_command_and_its_servers_have_left_ends_with_the_next_one(temporary):
    left = temporary / f"{PREFIX}{GONE}-left"
    left.mkdir()
    fill(left)
    with (left / "serving-x.log").open("ab") as log:
        engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=log, start_new_session=True)
    try:
        with server_folder() as running:
            assert list(temporary.iterdir()) == [running]
        assert engine.wait(60) == -signal.SIGTERM
    finally:
        engine.kill()
        engine.wait()


def test_a_folder_of_a_killed_command_goes_even_if_another_process_has_its_number_by_now(temporary):
    left = temporary / f"{PREFIX}{os.getpid()}-left"
    left.mkdir()
    fill(left)
    before_this_process = time.time() - 10 * 86_400
    os.utime(left, times=(before_this_process, before_this_process))
    with server_folder() as running:
        assert list(temporary.iterdir()) == [running]


@pytest.mark.parametrize("name", ["a/b", "../x", "", "-x", ".x", "a b", "x" * 101, "\u0430", "a\n"])
def test_a_name_that_would_be_a_path_an_option_or_no_word_is_refused(name):
    with pytest.raises(InputError, match=r"^--name "):
        require_name(name)


@pytest.mark.parametrize("name", ["globe", "reward_model", "GLOBE-7B:v1.2", "7b"])
def test_usual_names_are_names(name):
    require_name(name)


def test_a_running_commands_folder_is_left_alone(temporary):
    with server_folder() as one, server_folder() as other:
        assert {one, other} == set(temporary.iterdir())


def test_sigterm_ends_a_command_as_ctrl_c_does(tmp_path):
    script = (
        "import time\nfrom globe.run.processes import signals_as_interrupts\nfrom globe.serving.by_hand import server_folder\n"
        "with signals_as_interrupts(), server_folder() as folder:\n    print(folder, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert PREFIX in process.stdout.readline().decode()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert list(tmp_path.iterdir()) == []
