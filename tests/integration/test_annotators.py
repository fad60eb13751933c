"""A curation by several annotators of which one fails for good: the run says which part and why, and the next one goes on.

The run is the pipeline's own, by KFP's local runner; the teachers are a real HTTP server that notes each question.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from odd_photos import write_odd_photos
from odd_teachers import completion_about, odd_teachers

from globe.data.images import reencode

pytestmark = pytest.mark.timeout(3600)
ROOT = Path(__file__).parents[2]
ROWS, ANNOTATORS = 90, 3
SETTINGS = {"source.max_unusable_percent": 60, "curation.part_rows": ROWS // ANNOTATORS, "annotators": ANNOTATORS}


class Teachers:
    """Models a and b at one address.

    Attributes:
        url: Their base URL.
        asked: How often each question was answered, as (model, picture).
        refused: Pictures of which b says only that something is wrong.
    """

    def __init__(self) -> None:
        self.url, self.asked, self.refused = "", Counter(), set()

    def answer(self, model: str, picture: bytes) -> tuple[int, bytes]:
        if model == "b" and picture in self.refused:
            return 400, b"{}"
        self.asked[model, picture] += 1
        return 200, completion_about(model, picture)


@pytest.fixture
def teachers():
    named = Teachers()
    with odd_teachers(named.answer) as named.url:
        yield named


def curate(home: Path, table: Path, teachers: Teachers) -> subprocess.CompletedProcess:
    named = {"source": table, "teachers": f"a@{teachers.url},b@{teachers.url}", **SETTINGS}
    settings = [f"--set={key}={value}" for key, value in named.items()]
    command = [sys.executable, "-m", "pipelines", "run", "smoke", "--plain", f"--home={home}", "--pipeline=curation", *settings]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, env=os.environ, check=False)


def curated(home: Path) -> dict[str, bytes]:
    """All that the run's one finished curation has written, by name."""
    (record,) = (home / "store" / "curation").glob("*/result.json")
    data = record.parent / "data"
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}


def answers_kept(home: Path) -> set[str]:
    journals = (home / "store" / "annotate").rglob("replies.jsonl")
    records = [json.loads(line) for journal in journals for line in journal.read_text().splitlines()]
    return {record["key"] for record in records if record["status"] == "ok"}


def test_an_annotator_that_fails_for_good_is_told_with_its_part_and_the_next_run_asks_only_what_lacks(tmp_path, teachers):
    table = write_odd_photos(tmp_path / "photos", ROWS)
    done = curate(tmp_path / "undisturbed", table, teachers)
    assert done.returncode == 0, done.stdout + done.stderr
    questions, teachers.asked = teachers.asked, Counter()
    assert set(questions.values()) == {1}
    of_second_part = range(ROWS // ANNOTATORS, 2 * ROWS // ANNOTATORS)
    photos = [tmp_path / "photos" / f"{number}.png" for number in of_second_part if number % 10 != 9]
    teachers.refused = {reencode(path.read_bytes()) for path in photos[::2]}

    home = tmp_path / "disturbed"
    failed = curate(home, table, teachers)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    told = failed.stdout[failed.stdout.index("failed  stage ") :].splitlines()
    assert told[0] == "failed  stage annotate"
    assert told[1].startswith(f"part 2: teacher b at {teachers.url} gave no usable reply to ")
    assert "over max_failed_share 0.25; run again to go on: replies so far are kept" in told[1]
    assert not list((home / "store").glob("curation/*/result.json"))
    kept, answered = answers_kept(home), teachers.asked
    assert len(questions) // 3 < len(kept) <= len(answered)
    assert answered <= questions

    teachers.refused, teachers.asked = set(), Counter()
    again = curate(home, table, teachers)
    assert again.returncode == 0, again.stdout + again.stderr
    # What is in a journal is not asked again. The end of a run also ends annotators to which answers are on their way.
    assert teachers.asked <= questions
    assert len(teachers.asked) == len(questions) - len(kept)
    assert answered + teachers.asked >= questions
    assert kept < answers_kept(home) == answers_kept(tmp_path / "undisturbed")
    assert curated(home) == curated(tmp_path / "undisturbed")
