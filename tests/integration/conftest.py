"""A copy of the checkout in which the demo is the smallest run, and one run there that nobody kills."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAIT_S = 1800
NOT_COPIED = (".git", ".venv", ".hypothesis", "runs", ".*_cache", "__pycache__")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/v1")


def command_of(line: str) -> str:
    """A line without the comment at its end."""
    return re.split(r"\s+# ", line)[0]


class Terminal:
    """A terminal in a folder: lines are run as they stand, and what they set stays set."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self._running: dict[str, subprocess.Popen] = {}
        self._ended: dict[str, subprocess.CompletedProcess] = {}

    def start(self, line: str) -> subprocess.Popen:
        """Start a line, and let it run."""
        self._running[command_of(line)] = process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return process

    def wait(self, line: str) -> subprocess.CompletedProcess:
        """Wait for a line that was started; whoever runs it next gets what it has said."""
        command = command_of(line)
        process = self._running[command]
        said = process.communicate(timeout=WAIT_S)
        del self._running[command]
        self._ended[command] = done = subprocess.CompletedProcess(line, process.returncode, *said)
        return done

    def run(self, line: str) -> subprocess.CompletedProcess:
        """Run a line to its end."""
        command = command_of(line)
        if command not in self._ended:
            self.start(line)
            self.wait(line)
        return self._ended.pop(command)

    def set(self, line: str) -> None:
        """Run a line that sets variables."""
        done = self.run(f"set -a\n{line}\nenv -0")
        assert (done.returncode, done.stderr) == (0, "")
        self.environment = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)

    def serve(self, line: str) -> None:
        """Start a line that serves until it is told to end; the URL that it prints, if it does, is $URL from now on."""
        process = self.start(line)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.stderr.read() if process.stderr else ""
        if found := ADDRESS.search(said):
            self.environment |= {"URL": found[0]}

    def close(self) -> None:
        """End what still runs."""
        for line, process in list(self._running.items()):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            self.wait(line)

    def leftovers(self) -> list[Path]:
        """What its lines have left in the folder for temporary files, beside torch's cache, of which a user has one."""
        return [path for path in Path(self.environment["TMPDIR"]).iterdir() if not path.name.startswith("torchinductor_")]

    @property
    def home(self) -> Path:
        """Where runs of the demo leave what they make."""
        return self.folder / "runs" / "demo"

    def told(self) -> dict[str, dict]:
        """How each stage of the latest run ended, as its event."""
        latest = max((self.home / "history").iterdir(), key=lambda path: path.stat().st_ctime)
        events = map(json.loads, (latest / "events.jsonl").read_text().splitlines())
        return {event["stage"]: event for event in events if event["kind"] in ("done", "reused", "skipped", "failed")}


@pytest.fixture(scope="session")
def terminal(tmp_path_factory) -> Iterator[Terminal]:
    """A terminal in a copy of the checkout that differs in one file: its demo is the smallest run."""
    folder = tmp_path_factory.mktemp("checkout") / "globe"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    profiles = folder / "pipelines" / "profiles"
    shutil.copy(profiles / "smoke.yaml", profiles / "demo.yaml")
    # `make` finds its set-up done: a .venv that is a link must not be made anew (tests/contract/test_setup.py).
    ours = {"PYTHONPATH": f"{folder / 'components'}:{folder}", "PYTHON": "true", "GLOBE_GATEWAY_PORT": "0"}
    with tempfile.TemporaryDirectory(prefix="t") as temporary:  # a short path, since sockets lie in it
        terminal = Terminal(folder, os.environ | ours | {"TMPDIR": temporary})
        terminal.set(". .venv/bin/activate")
        yield terminal
        terminal.close()


@pytest.fixture(scope="session")
def left_alone(terminal) -> Callable[[], Path]:
    """A run that nobody kills, beside the other tests, over a home that had other results: its home, once it has ended."""
    old = terminal.home / "store" / "sft" / "0123456789abcdef" / "result.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    (terminal.home / ".globe-home").touch()
    line = "python -m pipelines run demo --fresh"
    terminal.start(line)

    @cache
    def ended() -> Path:
        done = terminal.wait(line)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not old.exists()
        return terminal.home

    return ended
