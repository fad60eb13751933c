"""Real commands, supervised: what is started again, what is left of an attempt, what is recorded, how signals travel."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from globe.run.records import read_records

SECRET = "planted-secret-5Xw"
STAGE = """
import os, signal, sys
from pathlib import Path
from globe.errors import GlobeError, InputError
from globe.run.events import Reporter, emit
from globe.run.stage import stage_events
here = Path({folder!r})
attempt = len(list(here.glob("attempt-*"))) + 1
(here / f"attempt-{{attempt}}").touch()
def stage(error=None, done=0):
    with stage_events("sft", here) as reporter:
        reporter.progress(done, 100)
        if error: raise error
    emit("sft", "done", figure="30 steps, loss 1.2")
"""


def supervised(folder: Path, body: str, *options: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    """The command line that runs a stage of a few lines under supervision, and its environment."""
    told = {
        "inputs": {"parameterValues": {"store": str(folder / "store"), "gpus": "8", "run": "by-parameter"}},
        "outputs": {
            "parameters": {"Output": {"outputFile": str(folder / "out" / "Output")}},
            "artifacts": {
                "checkpoint": {"artifacts": [{"uri": str(folder / "out" / "checkpoint")}]},
                "executor-logs": {"artifacts": [{"uri": str(folder / "out" / "logs")}]},
            },
            "outputFile": str(folder / "out" / "executor_output.json"),
        },
    }
    code = STAGE.format(folder=str(folder)) + body
    command = [sys.executable, "-m", "globe.run.supervise", "--stage", "sft", "--pause", "0.01", *options, "--"]
    command += [sys.executable, "-c", code, "--executor_input", json.dumps(told)]
    return command, os.environ | {"GLOBE_RUN_ID": "run-1"} | environment


def run(folder: Path, body: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = supervised(folder, body, *options, **environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def attempts(folder: Path) -> int:
    return len(list(folder.glob("attempt-*")))


def record(folder: Path, run_id: str = "run-1"):
    (found,) = read_records(str(folder / "store"), run_id)
    return found


RETRIED = {
    "killed, as for want of memory": ("os.kill(os.getpid(), signal.SIGKILL)", 137),
    "crashed in native code": ("os.kill(os.getpid(), signal.SIGSEGV)", 139),
    "killed behind a shell": ("sys.exit(os.WEXITSTATUS(os.system('kill -9 $$')) or 137)", 137),
    "something did not work": ("stage(GlobeError('the teachers do not answer'))", 1),
    "the disk is full": ("import errno; stage(OSError(errno.ENOSPC, 'No space left on device'))", 1),
    "what looks like a bug, each time another": ("stage(RuntimeError(f'NCCL timeout after {attempt} s'))", 1),
    "what looks like a bug, each time further on": ("stage(RuntimeError('CUDA error'), done=attempt)", 1),
}
FINAL = {
    "an input is wrong": ("stage(InputError('recipes.yaml: learning_rate: not a number'))", 1, "failed", 1),
    "exit code of bad input, without a report": ("sys.exit(2)", 2, "failed", 1),
    "the gate's verdict": ("from globe.evaluation.promote import reject; reject('worse in Kenya')", 1, "rejected", 1),
    "the same bug at the same place": ("stage(TypeError('int is no str'), done=7)", 1, "failed", 2),
    "the same silent failure": ("sys.exit(1)", 1, "failed", 2),
}


def test_neither_the_stage_nor_what_it_starts_can_gain_a_right_by_starting_a_program(tmp_path):
    body = f"(folder := Path({str(tmp_path)!r})); os.system(f'grep NoNewPrivs /proc/self/status > {{folder}}/seen')"
    assert run(tmp_path, f"from pathlib import Path\n{body}").returncode == 0
    assert (tmp_path / "seen").read_text().split() == ["NoNewPrivs:", "1"]


@pytest.mark.parametrize(("body", "code"), RETRIED.values(), ids=RETRIED)
def test_what_may_pass_is_tried_as_often_as_allowed_and_its_exit_code_is_handed_on(tmp_path, body, code):
    done = run(tmp_path, body, "--retries", "2")
    assert (done.returncode, attempts(tmp_path)) == (code, 3), done.stderr
    found = record(tmp_path)
    assert (found.state, found.attempts) == ("failed", 3)
    assert found.error


@pytest.mark.parametrize(("body", "code", "state", "expected"), FINAL.values(), ids=FINAL)
def test_what_cannot_pass_is_not_tried_again(tmp_path, body, code, state, expected):
    done = run(tmp_path, body, "--retries", "4")
    assert (done.returncode, attempts(tmp_path)) == (code, expected), done.stderr
    found = record(tmp_path)
    assert (found.state, found.attempts) == (state, expected)


@pytest.mark.parametrize("body", [case[0] for case in RETRIED.values()], ids=RETRIED)
def test_a_stage_without_retries_is_started_once(tmp_path, body):
    run(tmp_path, body, "--retries", "0")
    assert attempts(tmp_path) == 1


def test_a_failure_that_passes_ends_well_and_the_record_says_how(tmp_path):
    body = "stage(GlobeError('no answer') if attempt < 3 else None)"
    done = run(tmp_path, body, "--retries", "5", "--gpus-input", "gpus")
    assert done.returncode == 0, done.stderr
    found = record(tmp_path)
    assert (found.state, found.attempts, found.gpus) == ("succeeded", 3, 8)
    assert (found.figure, found.error) == ("30 steps, loss 1.2", "")
    assert "[sft] note attempt 1 of 6 failed (no answer); starting again in 0.01 s" in done.stderr
    assert "starting again in 0.02 s" in done.stderr  # pauses grow


def test_a_stages_own_words_reach_the_record_and_no_secret_does(tmp_path):
    body = "stage(RuntimeError('403 for key ' + os.environ['AWS_SECRET_ACCESS_KEY']))"
    done = run(tmp_path, body, AWS_SECRET_ACCESS_KEY=SECRET)
    assert record(tmp_path).error == "RuntimeError: 403 for key ***"
    assert SECRET not in "".join(path.read_text() for path in (tmp_path / "store").rglob("*.json"))
    assert done.returncode == 1


def test_a_pod_that_was_promised_none_has_no_gpus_in_its_record_whatever_its_inputs_are_called(tmp_path):
    run(tmp_path, "stage()")
    assert record(tmp_path).gpus == 0


def test_where_the_environment_names_no_run_the_tasks_input_does(tmp_path):
    run(tmp_path, "stage()", GLOBE_RUN_ID="")
    assert record(tmp_path, "by-parameter").state == "succeeded"


def test_a_store_that_cannot_be_written_does_not_fail_a_finished_stage(tmp_path):
    (tmp_path / "store").write_text("not a folder")
    done = run(tmp_path, "stage()")
    assert done.returncode == 0
    assert "the run's record of this stage cannot be written" in done.stderr


def test_a_command_that_is_not_there_is_told_and_not_tried_again(tmp_path):
    command = [sys.executable, "-m", "globe.run.supervise", "--stage", "sft", "--retries", "3", "--", "no-such-command"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 127
    assert done.stderr.count("no-such-command: cannot be started") == 1


def test_without_room_for_a_temporary_folder_an_attempt_fails_and_the_record_says_why(tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    body = "import shutil; shutil.rmtree(os.environ['TMPDIR']); sys.exit(1)"
    done = run(tmp_path, body, "--retries", "1", TMPDIR=str(temporary))
    assert (done.returncode, attempts(tmp_path)) == (1, 1)
    assert (record(tmp_path).attempts, record(tmp_path).state) == (2, "failed")
    assert "no temporary folder can be made" in record(tmp_path).error


def test_nothing_that_a_failed_attempt_left_is_there_for_the_next_to_pass_on(tmp_path):
    body = """
out = here / "out"
places = [out / "Output", out / "checkpoint", out / "executor_output.json", out / "logs"]
print("seen", attempt, [place.name for place in places if place.exists()], flush=True)
out.mkdir(exist_ok=True)
for place in places[1 - attempt % 2:]:
    place.write_text("{}")
(out / "checkpoint").unlink()
(out / "checkpoint").mkdir()
(out / "checkpoint" / "weights").write_text("half")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(tmp_path, body, "--retries", "2")
    assert done.stdout.splitlines() == ["seen 1 []", "seen 2 ['logs']", "seen 3 ['logs']"]


def test_no_grandchild_of_a_killed_attempt_lives_when_the_next_one_starts(tmp_path):
    body = """
import subprocess, psutil
server = [sys.executable, "-c", "import time; time.sleep(600)"]
print("alive", sum(psutil.pid_exists(int(pid)) for pid in (here / "pids").read_text().split()) if attempt > 1 else 0, flush=True)
quiet = subprocess.DEVNULL
pids = [subprocess.Popen(server, start_new_session=True, stdout=quiet, stderr=quiet).pid for _ in range(3)]
(here / "pids").write_text(" ".join(map(str, pids)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(tmp_path, body, "--retries", "1")
    assert done.stdout.splitlines() == ["alive 0", "alive 0"]
    assert not [pid for pid in (tmp_path / "pids").read_text().split() if psutil.pid_exists(int(pid))]


# Told to end


WAITING = """
import time
(here / "up").touch()
time.sleep(600)
"""


def start(folder: Path, body: str, *options: str, until: str = "up") -> subprocess.Popen[str]:
    command, env = supervised(folder, body, *options)
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / until).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_the_stage_is_told_too_and_never_started_again(tmp_path, number):
    body = "signal.signal(signal.SIGINT, signal.SIG_DFL)" + WAITING
    process = start(tmp_path, body, "--retries", "3")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, attempts(tmp_path)) == (128 + number, 1)
    assert f"told to end ({number.name})" in said
    found = record(tmp_path)
    assert found.state == "failed"
    assert found.error.startswith(f"told to end ({number.name})")


def test_a_stage_that_finishes_although_it_was_told_to_end_has_succeeded(tmp_path):
    body = "signal.signal(signal.SIGTERM, lambda *_: (stage(), sys.exit(0)))" + WAITING
    process = start(tmp_path, body, "--retries", "3")
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (record(tmp_path).state, record(tmp_path).figure) == ("succeeded", "30 steps, loss 1.2")


def test_the_record_is_there_although_the_container_ends_while_the_stage_still_saves(tmp_path):
    body = "signal.signal(signal.SIGTERM, lambda *_: (here / 'told').touch())" + WAITING.replace(
        "(600)", "(600); time.sleep(600)"
    )
    process = start(tmp_path, body)
    stage = psutil.Process(process.pid).children()[0]
    process.terminate()
    deadline = time.monotonic() + 60
    while not list((tmp_path / "store").rglob("sft-*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()  # as the kernel does with all of a container
    stage.kill()
    process.communicate()
    assert record(tmp_path).error.startswith("told to end (SIGTERM)")


def test_told_to_end_between_two_attempts_there_is_no_second(tmp_path):
    command, env = supervised(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", "--retries", "3")
    command[command.index("--pause") + 1] = "600"
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert "starting again in 600 s" in process.stderr.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert (process.returncode, attempts(tmp_path)) == (143, 1)
    assert record(tmp_path).state == "failed"


def test_the_whole_group_is_told_so_that_a_command_behind_a_shell_is_too(tmp_path):
    process = start(tmp_path, WAITING)
    process.terminate()
    process.communicate(timeout=60)
    shell = tmp_path / "shell"
    shell.mkdir()
    command, env = supervised(shell, WAITING)
    at = command.index("--") + 1
    process = subprocess.Popen([*command[:at], "sh", "-c", '"$@"; exit $?', "sh", *command[at:]], env=env)
    while not (shell / "up").exists():
        time.sleep(0.01)
    (leaf,) = [one for one in psutil.Process(process.pid).children(recursive=True) if not one.children()]
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert not leaf.is_running()


def test_secrets_in_files_become_variables_of_the_stage_and_one_that_is_missing_none(tmp_path):
    secret = tmp_path / "globe-s3"
    secret.mkdir()
    (secret / "AWS_SECRET_ACCESS_KEY").write_text(SECRET)
    (secret / "PATH").write_text("/not/asked/for")
    told = ["--secret", f"{secret}:AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN", "--secret", f"{tmp_path / 'none'}:GLOBE_API_KEY"]
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GLOBE_API_KEY", "PATH")
    command, env = supervised(tmp_path, f"(here / 'seen').write_text(repr([os.environ.get(name) for name in {names}]))", *told)
    env = {name: value for name, value in env.items() if name not in names[:3]}
    subprocess.run(command, env=env, check=True)
    assert (tmp_path / "seen").read_text() == repr([SECRET, None, None, env["PATH"]])


def test_a_secret_that_came_as_a_file_is_hidden_in_the_record(tmp_path):
    (tmp_path / "GLOBE_API_KEY").write_text(SECRET)
    said = f"stage(InputError('key {SECRET} was refused'))"
    command, env = supervised(tmp_path, said, "--secret", f"{tmp_path}:GLOBE_API_KEY")
    subprocess.run(command, env=env, capture_output=True)
    assert "was refused" in record(tmp_path).error
    assert SECRET not in record(tmp_path).error


def test_a_stage_behind_a_shell_saves_when_told_to_end_and_its_exit_code_asks_for_another_pod(tmp_path):
    saves = "from globe.errors import Stopped\nsignal.signal(signal.SIGTERM, lambda *_: stage(Stopped('saved at step 7 of 9')))"
    command, env = supervised(tmp_path, f"{saves}\n{WAITING}", "--retries", "3")
    split = command.index("--") + 1
    command[split:] = ["sh", "-ec", '"$0" "$@"; exit 0', *command[split:]]  # as KFP starts its executor
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=60)
    assert (process.returncode, attempts(tmp_path)) == (75, 1)
    assert record(tmp_path).error.endswith("on a node that is drained; saved at step 7 of 9")


def test_a_stage_that_alone_was_told_to_end_goes_on_from_what_it_has_saved(tmp_path):
    body = "from globe.errors import Stopped\nstage(Stopped('saved') if attempt == 1 else None)"
    done = run(tmp_path, body, "--retries", "3")
    assert (done.returncode, attempts(tmp_path)) == (0, 2)
