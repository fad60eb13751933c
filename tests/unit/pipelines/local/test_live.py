import fcntl
import io
import json
import os
import re
import struct
import termios
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from globe.report import StageRow
from globe.run.events import emit
from pipelines.local.live import EventLog, LiveView, final_table, print_final_table

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
LONG = "/home/ada/projects/globe-on-kubeflow/.demo/store/curation/0a1b2c3d4e5f6071/some/deeper/folder/curation.json"
ROWS = [
    StageRow("source", "reused", 6.1, "2,100 pictures", "/store/source"),
    StageRow("curation", "done", 81.4, "1,305 of 2,100 kept; 97.4% of wrong annotations removed and much more to say", LONG),
    StageRow("grpo", "failed", 3.0, "RuntimeError: [bold]out of memory[/bold]", "/store/grpo"),
    StageRow("tear_down", "skipped", 0.0),
]


def event(stage: str, kind: str, at_s: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {"time": (START + timedelta(seconds=at_s)).isoformat(), "stage": stage, "kind": kind} | fields


def log_console(encoding: str = "utf-8") -> tuple[Console, io.BytesIO]:
    raw = io.BytesIO()
    return Console(file=io.TextIOWrapper(raw, encoding=encoding, write_through=True)), raw


class Terminal:
    """A real pseudo terminal and what was drawn on it."""

    def __init__(self, columns: int) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self._file = os.fdopen(slave, "w", encoding="utf-8")
        self.console = Console(file=self._file, color_system=None, width=columns, _environ={"TERM": "xterm-256color"})
        self._drawn = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._master, 65536)
            except OSError:
                return
            if not piece:
                return
            self._drawn += piece

    def drawn(self) -> str:
        self._file.close()
        self._reader.join(5)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._drawn.decode())
        return re.sub(r"[\r\n]+", "\n", plain).strip("\n")


@pytest.fixture(params=[80, 140])
def terminal(request: pytest.FixtureRequest) -> Terminal:
    return Terminal(request.param)


def test_a_log_gets_one_line_for_start_end_and_failure() -> None:
    console, raw = log_console()
    with LiveView(["source", "curation", "grpo"], console) as view:
        view.update(event("source", "reused", figure="2,100 pictures", output="/store/source"))
        view.update(event("curation", "start"))
        view.update(event("curation", "done", 21.4, seconds=21.4, figure="1,305 kept", output=LONG))
        view.update(event("grpo", "start", 22))
        view.update(event("grpo", "failed", 25, error="RuntimeError: out of\nmemory", log="/store/grpo.log"))
    lines = [line.split("  ", 1)[1] for line in raw.getvalue().decode().splitlines()]
    assert lines == [
        "source            reused: 2,100 pictures -> /store/source",
        "curation          start",
        f"curation          done in 21.4 s: 1,305 kept -> {LONG}",
        "grpo              start",
        "grpo              FAILED after 3.0 s: RuntimeError: out of memory; log: /store/grpo.log",
    ]


ATTACK = "\x1b]52;c;aGFja2Vk\x07Lutetia\x9b31m\u202e\u2028[bold]x[/bold]\x1b[2J"


def test_no_text_of_a_stage_acts_on_the_terminal() -> None:
    console, raw = log_console()
    with LiveView(["sft"], console) as view:
        view.update(event("sft", "start", log=ATTACK))
        view.update(event("sft", "note", figure=ATTACK))
        view.update(event("sft", "progress", 60, done=1, total=2, figure=ATTACK))
        view.update(event("sft", "failed", 70, error=ATTACK, log=f"/{ATTACK}"))
        view.update(event(ATTACK, "done", 80, figure=ATTACK, output=ATTACK, seconds=1.0))
    print_final_table([StageRow(ATTACK, "done", 1.0, ATTACK, ATTACK)], console)
    text = raw.getvalue().decode()
    assert text.replace("\n", "").isprintable(), ascii(text)
    assert text.count("Lutetia [bold]x[/bold]") >= 7


def test_a_log_gets_progress_of_each_stage_only_now_and_then() -> None:
    console, raw = log_console()
    with LiveView(["sft", "reward_model"], console) as view:
        for i in range(1000):
            view.update(event("sft", "progress", done=i, total=1000, figure=f"loss {i}"))
            view.update(event("reward_model", "note", figure="loading"))
    lines = raw.getvalue().decode().splitlines()
    assert [line[10:] for line in lines] == ["sft               0/1,000 (0%)  loss 0", "reward model      loading"]


def test_a_log_on_a_terminal_is_plain_when_asked() -> None:
    terminal = Terminal(80)
    with LiveView(["sft"], terminal.console, plain=True) as view:
        view.update(event("sft", "done", seconds=2.0, output=LONG))
    assert f"done in 2.0 s -> {LONG}" in terminal.drawn()


def test_a_terminal_shows_every_stage_with_its_state_and_figure(terminal: Terminal) -> None:
    with LiveView(["source", "curation", "grpo"], terminal.console) as view:
        view.update(event("source", "reused", seconds=6.1, figure="2,100 pictures"))
        view.update(event("curation", "progress", done=50, total=100, figure="[red]3 unusable[/red]"))
    drawn = terminal.drawn()
    assert "↺ source" in drawn
    assert "2,100 pictures" in drawn
    assert "▸ curation" in drawn
    assert "[red]3 unusable[/red]" in drawn
    assert "· grpo" in drawn
    assert "1 of 3 stages" in drawn
    assert max(len(line) for line in drawn.splitlines()) <= terminal.console.width


def test_a_failed_stage_stays_on_the_terminal() -> None:
    terminal = Terminal(100)
    with LiveView(["sft"], terminal.console) as view:
        view.update(event("sft", "start"))
        view.update(event("sft", "failed", 2, error="RuntimeError: \x1b[2Jno memory"))
    assert "✗ sft" in terminal.drawn().splitlines()[-2]


def test_a_stage_that_nobody_announced_is_shown_too() -> None:
    console, raw = log_console()
    with LiveView([], console) as view:
        view.update({"stage": "surprise", "kind": "done"})
    assert "surprise" in raw.getvalue().decode()


def test_a_stage_that_starts_again_forgets_its_failure() -> None:
    console, raw = log_console()
    with LiveView(["sft"], console) as view:
        view.update(event("sft", "start"))
        view.update(event("sft", "failed", 5, error="no memory"))
        view.update(event("sft", "start", 10))
        view.update(event("sft", "done", 12))
    assert raw.getvalue().decode().splitlines()[-1].endswith("done in 2.0 s")


def test_a_log_that_cannot_write_every_letter_still_gets_its_lines() -> None:
    console, raw = log_console("ascii")
    with LiveView(["sft"], console) as view:
        view.update(event("sft", "done", seconds=1.0, figure="0.2 → 0.8 in São Paulo"))
    print_final_table(ROWS, console)
    assert "0.2 ? 0.8 in S?o Paulo" in raw.getvalue().decode("ascii")
    assert LONG in raw.getvalue().decode("ascii")


def test_the_final_table_keeps_every_path_whole_in_a_log() -> None:
    console, raw = log_console()
    print_final_table(ROWS, console)
    text = raw.getvalue().decode()
    assert "\x1b" not in text
    for row in ROWS:
        assert row.output in text
        assert row.figure in text
    assert "reused  2,100 pictures" in text
    assert re.search(r"✓ curation +1m 21s", text)
    assert re.search(r"– tear down +- +-", text)


def test_the_final_table_keeps_every_path_whole_on_a_terminal(terminal: Terminal) -> None:
    print_final_table(ROWS, terminal.console)
    drawn = terminal.drawn()
    assert all(row.output in drawn for row in ROWS)
    assert "RuntimeError: [bold]out of memory[/bold]" in drawn


def test_a_wide_terminal_gets_one_line_a_stage() -> None:
    terminal = Terminal(240)
    terminal.console.print(final_table(ROWS))
    lines = terminal.drawn().splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert lines[3].endswith(LONG)


def test_a_run_without_stages_has_an_empty_table() -> None:
    console, raw = log_console()
    print_final_table([], console)
    assert "what it achieved" in raw.getvalue().decode()


def test_events_are_read_once_and_a_torn_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    assert log.read() == []
    path.write_text('{"stage": "a", "kind": "start"}\n{"stage": "a", "ki')
    assert [one["kind"] for one in log.read()] == ["start"]
    assert log.read() == []
    with path.open("a") as file:
        file.write('nd": "done"}\nnonsense\n[]\n{"stage": 3, "kind": "done"}\n')
    assert [one["kind"] for one in log.read()] == ["done"]


def test_what_stages_emit_is_what_the_view_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    emit("sft", "start", log="/x.log")
    emit("sft", "progress", done=3, total=4, figure="loss 0.4")
    emit("sft", "done", figure="86.0%", seconds=12.0, output="/store/sft")
    capsys.readouterr()
    console, raw = log_console()
    with LiveView(["sft"], console) as view:
        for one in EventLog(tmp_path / "events.jsonl").read():
            view.update(one)
    text = raw.getvalue().decode()
    assert "3/4 (75%)  loss 0.4" in text
    assert "done in 12.0 s: 86.0% -> /store/sft" in text


def test_a_note_after_the_end_does_not_set_a_stage_running_again():
    view = LiveView(["reward_service"], Console(file=io.StringIO(), width=100), plain=True)
    for kind, figure in (("start", ""), ("done", "vLLM serves"), ("note", "served its purpose, ended")):
        view.update(
            {"time": "2026-01-01T00:00:00+00:00", "stage": "reward_service", "kind": kind, "figure": figure, "seconds": 1.0}
        )
    shown = io.StringIO()
    Console(file=shown, width=100).print(view.table())
    assert "done" in shown.getvalue()
    assert "served its purpose" in shown.getvalue()


@pytest.mark.parametrize(
    "fields",
    [{"seconds": 1e400}, {"seconds": "x"}, {"done": "1", "total": "2"}, {"done": 10**400, "total": 1}, {"time": 7}, {"log": 7}],
)
def test_an_event_that_no_stage_of_ours_would_tell_disturbs_no_view(tmp_path, fields):
    (tmp_path / "events.jsonl").write_text(
        json.dumps(event("sft", "progress") | fields) + "\n" + json.dumps(event("sft", "done"))
    )
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write("\n" + json.dumps(event("sft", "failed") | fields) + "\n" + "[" * 10**5 + "\n")
    console, _ = log_console()
    with LiveView(["sft"], console) as view:
        for one in EventLog(tmp_path / "events.jsonl").read():
            view.update(one)
            view.console.print(view.table())


def test_events_are_read_however_much_one_stage_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.local.live.LONGEST_LINE", 100)
    path = tmp_path / "events.jsonl"
    line = json.dumps({"stage": "sft", "kind": "done"}) + "\n"
    path.write_text(line * 20 + "x" * 1000 + "\n" + line * 5 + line[:-3])
    log = EventLog(path)
    assert len(log.read()) == 25
    with path.open("a") as file:
        file.write(line[-3:])
    assert len(log.read()) == 1
    os.truncate(path, 1 << 40)
    monkeypatch.setattr("pipelines.local.live.MOST_BYTES", 10_000)
    assert log.read() == log.read() == []
