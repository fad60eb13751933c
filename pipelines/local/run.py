"""Run a pipeline on this machine: `python -m pipelines run PROFILE`."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from globe.console import printable
from globe.data.named import split_name
from globe.errors import InputError, cannot_write
from globe.files import write_json
from globe.run.events import EVENTS_VARIABLE, LOGS_VARIABLE
from globe.run.gpus import MACHINE_VARIABLE, gpus_here
from globe.run.processes import adopt_orphans, end_descendants, signals_as_interrupts
from globe.run.stage import REDO_VARIABLE, RUN_VARIABLE
from globe.serving.process import SERVERS_VARIABLE
from pipelines.catalog import Pipeline
from pipelines.local.container_settings import Containers
from pipelines.local.folder import Run
from pipelines.local.home import using
from pipelines.local.live import EventLog, LiveView
from pipelines.local.outcome import RunOutcome, finish
from pipelines.local.temporary import temporary_folder
from pipelines.local.worker import JOB_FILE

POLL_S = 0.2


def run(
    pipeline: Pipeline,
    profile_name: str,
    title: str,
    arguments: Mapping[str, Any],
    home: Path,
    *,
    containers: Containers | None,
    redo_from: str,
    fresh: bool,
    console: Console,
    plain: bool,
) -> int:
    """Run a pipeline to its end and show how it went.

    Args:
        pipeline: The pipeline.
        profile_name: Name of the profile.
        title: What the run is called for the user.
        arguments: A checked value for each of the pipeline's parameters; `store` is replaced by the home's.
        home: Folder for results, logs and reports, as `find_home` returns it.
        containers: Settings for running each stage in a container; None runs each as a process.
        redo_from: Repeat this stage and those that need it, even if they are finished; empty for none.
        fresh: Forget all earlier results first.
        console: Where the live view and the tables go.
        plain: Plain lines instead of a live view.

    Returns:
        Exit code: 0 succeeded, 1 a stage failed or the gate rejected, 2 a stage found bad input, 130 interrupted.

    Raises:
        InputError: Unknown stage, or `fresh` while another run uses the same home.
        GlobeError: The disk is full.
    """
    redo = stages_from(redo_from, pipeline.followers) if redo_from else []
    this = Run(profile_name, pipeline, home)
    with using(this.home, alone=fresh), temporary_folder() as temporary:
        try:
            this.folder.mkdir(parents=True)
            this.store.mkdir(exist_ok=True)
            job = {"pipeline": pipeline.name, "arguments": dict(arguments) | {"store": str(this.store)}}
            job |= {"containers": containers.model_dump() if containers else None, "inputs": local_inputs(arguments)}
            write_json(this.folder / JOB_FILE, job)
        except OSError as error:
            raise cannot_write(this.folder, error) from None
        console.print(
            printable(f"{title}  ·  run {this.id}  ·  log {_short(this.log)}"), soft_wrap=True, markup=False, highlight=False
        )
        started = time.time()
        adopt_orphans()
        code, interrupted = _supervise(this, redo, temporary, console, plain)
        outcome = RunOutcome.read(
            this.events, this.log, stages=list(pipeline.followers), worker_code=code, interrupted=interrupted
        )
        return finish(this, title, outcome, seconds=time.time() - started, console=console)


def stages_from(stage: str, followers: Mapping[str, Sequence[str]]) -> list[str]:
    """A stage and all that need it, directly or not.

    Args:
        stage: The stage.
        followers: Every stage, with those that directly need it.

    Raises:
        InputError: No such stage.
    """
    if stage not in followers:
        raise InputError(f"--from {stage}: no such stage; choose one of {', '.join(followers)}")
    found = {stage}
    for name in followers:  # each comes before those that need it
        if name in found:
            found |= set(followers[name])
    return [name for name in followers if name in found]


def _supervise(this: Run, redo: list[str], temporary: Path, console: Console, plain: bool) -> tuple[int, bool]:
    """Start the worker, show its events until it ends, and leave no process behind. Returns its exit code."""
    environment = os.environ | {
        EVENTS_VARIABLE: str(this.events),
        LOGS_VARIABLE: str(this.folder / "logs"),
        SERVERS_VARIABLE: str(this.folder / "servers"),
        RUN_VARIABLE: this.id,
        MACHINE_VARIABLE: ",".join(gpus_here()),
        REDO_VARIABLE: ",".join(redo),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }
    interrupted = False
    with this.log.open("wb") as log, signals_as_interrupts():
        # In its own session, so that Ctrl-C reaches only this process, which then ends the others in order.
        worker = subprocess.Popen(
            [sys.executable, "-m", "pipelines.local.worker", str(this.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        try:
            with LiveView(list(this.pipeline.followers), console, plain) as view:
                events = EventLog(this.events)
                while worker.poll() is None:
                    for event in events.read():
                        view.update(event)
                    time.sleep(POLL_S)
                for event in events.read():
                    view.update(event)
        except KeyboardInterrupt:
            interrupted = True
            console.print("stopping: ending everything that this run started ...")
        finally:
            end_descendants()
    return worker.wait(), interrupted


def _short(path: Path) -> str:
    """A path as the user would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def local_inputs(arguments: Mapping[str, Any]) -> list[str]:
    """Local files and folders that a run reads, and that its containers must therefore see."""
    named = [arguments.get(name) for name in ("source", "dataset", "base_model", "model", "baseline")]
    named += list(arguments.get("start_from", {}).values())
    places = [split_name(str(name))[1] for name in named if name]  # of NAME@PLACE the place
    paths = {Path(place).resolve() for place in places if place and Path(place).exists()}
    return sorted(str(path if path.is_dir() else path.parent) for path in paths)  # a table's pictures are beside it
