"""What a run looks like in a terminal: a live table while it runs, plain lines in a log, and one table at the end.

Stages append events to a file (`globe.run.events`); `EventLog` reads the new ones and `LiveView` draws them.
"""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from globe.console import one_line
from globe.report import StageRow

PLAIN_INTERVAL_S = 10.0
"""Seconds between two progress lines of a stage in a log."""

ENDS = ("done", "reused", "skipped", "failed")
"""Kinds of event with which a stage ends."""
LONGEST_LINE = 1 << 20
MOST_BYTES = 1 << 30
"""Of a run's events, in bytes; a day has some ten million."""
LARGEST = 1e12
_TYPES = {
    "time": str,
    "folder": str,
    "log": str,
    "titles": dict,
    "done": float | int,
    "total": float | int,
    "seconds": float | int,
}
_STYLES = {"waiting": "dim", "running": "bold cyan", "done": "green", "reused": "blue", "skipped": "dim", "failed": "bold red"}
_MARKS = {"waiting": "·", "running": "▸", "done": "✓", "reused": "↺", "skipped": "–", "failed": "✗"}
_ASCII_MARKS = {"waiting": ".", "running": ">", "done": "+", "reused": "=", "skipped": "-", "failed": "!"}
_BAR_COLUMNS = 16
_NARROW_COLUMNS = 100
"""Terminals narrower than this get a shorter bar, so that the figures keep their room."""


class EventLog:
    """Reads a file of JSON lines to which other processes append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        """The events appended since the last call. An incomplete line is left for the next call; other lines are skipped.

        Stages in containers are not trusted: however much one writes, and whatever, this process has room for it.
        """
        events = []
        if self.path.exists():
            with self.path.open("rb") as file:
                while self._offset < MOST_BYTES:
                    file.seek(self._offset)
                    new = file.read(LONGEST_LINE)
                    end = new.rfind(b"\n") + 1
                    if not end and len(new) < LONGEST_LINE:
                        break
                    self._offset += end or len(new)
                    events += [event for line in new[:end].splitlines() if (event := _event(line))]
        return events


def _event(line: bytes) -> dict[str, Any]:
    """One event, without the fields that are not of their type; empty for what is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if not (isinstance(event, dict) and isinstance(event.get("stage"), str) and isinstance(event.get("kind"), str)):
        return {}
    return {name: value for name, value in event.items() if name not in _TYPES or _fits(value, _TYPES[name])}


def _fits(value: Any, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and (not isinstance(value, int | float) or abs(value) < LARGEST)  # nan is not


@dataclass
class _Stage:
    name: str
    state: str = "waiting"
    started: float = 0.0
    seconds: float | None = None
    done: float | None = None
    total: float | None = None
    text: str = ""
    announced: float = float("-inf")
    """When its last progress line was printed."""


class LiveView:
    """Draws the stages of a run as their events come in.

    Args:
        stages: Names in the order to show; a stage that is not among them is added below when its first event comes.
        console: Where to draw.
        plain: Print lines instead of a live table; always the case if the console is not a terminal.
    """

    def __init__(self, stages: list[str], console: Console, plain: bool = False) -> None:
        self.console = console
        self.plain = plain or not console.is_terminal
        self._stages = {name: _Stage(name) for name in stages}
        self._live: Live | None = None
        self._opened = time.monotonic()

    def __enter__(self) -> "LiveView":
        if not self.plain:
            self._live = Live(get_renderable=self.table, console=self.console, refresh_per_second=4, vertical_overflow="ellipsis")
            self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            failed = any(stage.state == "failed" for stage in self._stages.values())
            self._live.transient = kind is None and not failed  # the final table repeats it; a failed run's table stays
            self._live.stop()
            self._live = None

    def update(self, event: dict[str, Any]) -> None:
        """Take one event; see `globe.run.events.emit` for its fields."""
        stage = self._stages.setdefault(event["stage"], _Stage(event["stage"]))
        kind = event["kind"]
        _advance(stage, event)
        if self.plain:
            now = time.monotonic()
            if kind in ("progress", "note") and now - stage.announced < PLAIN_INTERVAL_S:
                return
            stage.announced = now if kind != "start" else stage.announced
            self._say(_line(stage, event))

    def _say(self, line: str) -> None:
        self.console.print(Text(_encodable(line, self.console)), soft_wrap=True)

    def table(self) -> Group:
        """The live table as it is now."""
        grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(width=_BAR_COLUMNS if self.console.width >= _NARROW_COLUMNS else 8, no_wrap=True)
        grid.add_column(justify="right", no_wrap=True, min_width=8)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for stage in self._stages.values():
            style = _STYLES[stage.state]
            name = Text(f"{_mark(stage.state, self.console)} {_words(stage.name)}", style=style)
            text = Text(_encodable(stage.text, self.console), style="red" if stage.state == "failed" else "")
            if stage.state in ("waiting", "skipped"):
                text.stylize("dim")
            grid.add_row(name, self._bar(stage), Text(_elapsed(stage), style="dim"), text)
        finished = sum(stage.state in ENDS for stage in self._stages.values())
        summary = f"{finished} of {len(self._stages)} stages, {_duration(time.monotonic() - self._opened)}"
        return Group(grid, Text(summary, style="dim"))

    def _bar(self, stage: _Stage) -> ProgressBar | Text:
        if stage.state != "running":
            return Text(stage.state, style=_STYLES[stage.state])
        if stage.done is None or not stage.total:
            return ProgressBar(total=None, pulse=True, animation_time=time.monotonic(), complete_style="cyan")
        return ProgressBar(total=stage.total, completed=min(stage.done, stage.total), complete_style="cyan")


def _advance(stage: _Stage, event: dict[str, Any]) -> None:
    kind = event["kind"]
    if kind == "start" or stage.state == "waiting":
        stage.started, stage.seconds = _time_of(event), None
        stage.done = stage.total = None
        stage.text = ""
    if (
        kind != "note" or stage.state == "waiting"
    ):  # a note after the end, such as that a server stopped, does not restart a stage
        stage.state = kind if kind in ENDS else "running"
    if kind in ENDS:
        seconds = event.get("seconds")
        stage.seconds = seconds if isinstance(seconds, int | float) else max(0.0, _time_of(event) - stage.started)
    if kind == "progress":
        stage.done, stage.total = event.get("done"), event.get("total")
    said = event.get("error") if kind == "failed" else event.get("figure")
    stage.text = one_line(str(said)) if said else ("" if kind in ENDS else stage.text)


def _time_of(event: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(event["time"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return time.time()


def _line(stage: _Stage, event: dict[str, Any]) -> str:
    """One event as one line of a log; paths and figures are never shortened."""
    clock = datetime.fromtimestamp(_time_of(event)).strftime("%H:%M:%S")
    kind, text = event["kind"], stage.text
    if kind == "progress" and stage.done is not None and stage.total:
        share = f"{stage.done:,.0f}/{stage.total:,.0f} ({stage.done / stage.total:.0%})"
        said = f"{share}  {text}" if text else share
    elif kind == "failed":
        log = f"; log: {one_line(str(event['log']))}" if event.get("log") else ""
        said = f"FAILED after {_duration(stage.seconds or 0.0)}: {text or 'no reason given'}{log}"
    elif kind in ENDS:
        took = f" in {_duration(stage.seconds or 0.0)}" if kind == "done" else ""
        said = (
            f"{kind}{took}{': ' + text if text else ''}{' -> ' + one_line(str(event['output'])) if event.get('output') else ''}"
        )
    else:
        said = text if kind == "note" else kind
    return f"{clock}  {_words(stage.name):<16}  {said}"


def _elapsed(stage: _Stage) -> str:
    if stage.state == "running":
        return _duration(max(0.0, time.time() - stage.started))
    return "" if stage.seconds is None or stage.state == "skipped" else _duration(stage.seconds)


def final_table(stages: list[StageRow]) -> "FinalTable":
    """The table that a run ends with: stage, time, what it achieved, where its output is.

    Print it with `print_final_table`, which keeps every path in one piece, whatever the width.
    """
    return FinalTable(stages)


def print_final_table(stages: list[StageRow], console: Console) -> None:
    """Print the final table; paths are never broken, and get their own line if the row would be too long."""
    console.print(final_table(stages), soft_wrap=True)


class FinalTable:
    """A rich renderable; each row is one line if all of them fit the width, else each path goes on the next line."""

    def __init__(self, stages: list[StageRow]) -> None:
        self.stages = stages

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = console.width
        heads = ("stage", "time", "what it achieved", "where its output is")
        cells = [(_words(row.name), _row_time(row), one_line(row.figure) or "-", one_line(row.output)) for row in self.stages]
        names, times, figures, outputs = (max(len(text) for text in column) for column in zip(heads, *cells, strict=True))
        indent = 2 + names + 2 + times + 2
        fits = indent + figures + 2 + outputs <= width
        head = f"  {heads[0]:<{names}}  {heads[1]:>{times}}  "
        head += f"{heads[2]:<{figures}}  {heads[3]}" if fits else f"{heads[2]}, {heads[3]}"
        rule = "-" if not _is_unicode(console) else "─"
        yield Text(head, style="bold", no_wrap=True)
        yield Text(rule * (width if console.is_terminal else min(width, 100)), style="dim", no_wrap=True)
        for row, (name, took, figure, output) in zip(self.stages, cells, strict=True):
            state = row.status if row.status in _STYLES else "waiting"
            line = Text(no_wrap=True, overflow=options.overflow or "fold")
            line.append(f"{_mark(state, console)} {name:<{names}}", style=_STYLES[state])
            line.append(f"  {took:>{times}}  ", style="dim")
            room = width - indent if console.is_terminal and not fits else 0
            parts = _wrapped(_encodable(figure, console), room)
            line.append(parts[0], style="red" if state == "failed" else "")
            output = _encodable(output, console)
            if output and fits:
                line.append(" " * (figures - len(figure) + 2))
                line.append(output, style="cyan")
            yield line
            for part in parts[1:]:
                yield Text(" " * indent + part, no_wrap=True)
            if output and not fits:
                yield Text("    " + output, style="cyan", no_wrap=True, overflow=options.overflow or "fold")


def _row_time(row: StageRow) -> str:
    if row.status == "reused":
        return "reused"
    timed = row.status == "done" or (row.status == "failed" and row.seconds > 0)
    return _duration(row.seconds) if timed else "-"


def _wrapped(text: str, room: int) -> list[str]:
    """Break a text at spaces into lines of at most `room` characters (0 = no limit); long words stay whole."""
    if room < 20:
        return [text]
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= room or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _mark(state: str, console: Console) -> str:
    return (_MARKS if _is_unicode(console) else _ASCII_MARKS)[state]


def _is_unicode(console: Console) -> bool:
    return (console.encoding or "").lower().replace("-", "").startswith("utf")


def _encodable(text: str, console: Console) -> str:
    encoding = console.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def _words(name: str) -> str:
    return one_line(name.replace("_", " "))


def _duration(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"
