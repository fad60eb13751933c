"""A curation killed at any moment and started again: the same result, byte for byte, and no answered question asked again.

The teachers are a process of their own, which writes down every question before it answers. The curation is a process too, and
kills itself with SIGKILL at one of its moments: those in which it opens, renames or removes a file, or reports progress.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from odd_photos import write_odd_photos
from odd_teachers import NAMES, completion_about, odd_teachers

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.questions import picture_key
from globe.curation.teachers.teacher import Teacher

KILLS = 20
"""Moments at least; up to three times as many, until some have been in each phase."""
PHASES = {"reading", "asking", "merging"}
RECIPE = CurationRecipe(part_rows=17, max_unusable_percent=60.0, timeout_s=20.0, concurrency=4)
SETS = ("sft", "reward_model", "pool", "test")
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect"}


def serve_teachers(log_path: str) -> None:
    """Answer as two teachers until killed; each line of the log is the key of a question."""
    log = open(log_path, "a", buffering=1)  # noqa: SIM115 (open as long as the process)

    def answer(model: str, picture: bytes) -> tuple[int, bytes]:
        log.write(picture_key(Teacher("vlm", model, "http://x/v1"), hashlib.sha256(picture).digest()) + "\n")
        return 200, completion_about(model, picture)

    with odd_teachers(answer) as url:
        print(url, flush=True)
        signal.pause()


@pytest.fixture
def teachers(tmp_path):
    log = tmp_path / "questions.log"
    code = "import sys; from test_curation_killed import serve_teachers; serve_teachers(sys.argv[1])"
    paths = [str(Path(__file__).parent), *sys.path]
    command = [sys.executable, "-c", code, str(log)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as process:
        url = process.stdout.readline().strip()
        yield [Teacher("vlm", name, url) for name in NAMES], log
        process.kill()


def run(table: Path, out: Path, teachers: list[Teacher], last_moment: int | None) -> int | None:
    """Curate in a process of its own, which ends by SIGKILL at the given moment. Returns its moments if it lived so long."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        moments = 0

        def moment(*_: object) -> None:
            nonlocal moments
            moments += 1
            if moments == last_moment:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(lambda event, args: moment() if event in EVENTS and str(out) in str(args) else None)
            curate(table, out, teachers, RECIPE, moment)
            os.write(writer, str(moments).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader) as told:
        text = told.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return int(text) if text else None


def answered(out: Path) -> set[str]:
    """Keys of the questions whose answers are in the journals, in lines that are whole."""
    keys = set()
    for journal in out.glob("parts/*/replies.jsonl"):
        lines = journal.read_bytes().split(b"\n")
        keys |= {record["key"] for record in map(json.loads, lines[:-1]) if record["status"] == "ok"}
    return keys


def phase(out: Path) -> str:
    if len(list(out.glob("parts/*/asked.json"))) == 6:
        return "merging"
    last = max(out.glob("parts/*"), default=None)
    return "asking" if last and (last / "read.json").exists() else "reading"


def paths(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*")}


def result(out: Path) -> dict[str, str]:
    files = [*(path for name in SETS for path in sorted((out / name).iterdir())), out / "decisions.jsonl", out / "curation.json"]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_curation_killed_at_twenty_moments_ends_the_same_and_asks_nothing_twice(tmp_path, teachers):
    (asked, log), rng = teachers, random.Random(16)
    table = write_odd_photos(tmp_path / "photos", 100)
    moments = run(table, tmp_path / "undisturbed", asked, None)
    expected, questions = result(tmp_path / "undisturbed"), log.read_text().split()
    assert len(questions) == len(set(questions)) > 100
    kept = json.loads((tmp_path / "undisturbed" / "curation.json").read_text())
    assert kept["kept"]
    assert kept["dropped"]
    lost = {"duplicate_id", "duplicate_picture", "file_missing", "picture_not_readable", "no_position"}
    assert set(kept["quarantined"]) == lost
    out, phases, rounds = tmp_path / "out", [], 0
    while len(phases) < KILLS or (set(phases) != PHASES and len(phases) < 3 * KILLS):
        known = answered(out)
        log.write_text("")
        ended = run(table, out, asked, rng.randrange(1, moments))
        again = known & set(log.read_text().split())
        assert not again
        if ended is None:
            phases.append(phase(out))
            continue
        rounds += 1
        assert result(out) == expected
        assert paths(out) == paths(tmp_path / "undisturbed")  # no scratch file of a killed process is left
        shutil.rmtree(out)
    run(table, out, asked, None)
    assert result(out) == expected
    assert paths(out) == paths(tmp_path / "undisturbed")
    assert set(phases) == PHASES
    assert rounds > 1
