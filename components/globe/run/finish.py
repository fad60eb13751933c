"""How a run ended, what it took and what that cost, from what its stages have left in the store. The run's last task asks.

Nothing here may make a run fail that has ended well, or hide how another one failed: what cannot be read is said to be unknown.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from globe import storage
from globe.errors import GlobeError
from globe.run.cluster import Cluster, Place
from globe.run.events import emit
from globe.run.records import SERVER, StageRecord, folder_of, read_records
from globe.run.stage import RUN_VARIABLE
from globe.run.stages import STAGES
from globe.run.summary import Money, RunSummary, StageUse, State
from globe.run.summary_page import summary_markdown
from globe.run.verdicts import Verdict, read_verdict
from globe.run.webhook import TOLD, notify

SUMMARY_FILE = "summary.md"
"""The page, beside the run's records: for `submit`, which cannot read a backend's artifacts."""

ENDING_STAGE = "teardown"
ON_ONE_MACHINE = "On one machine, the run's own table and report say how it ended.\n"
TOLD_FILE = "told"
"""Says which ending of the run the webhook has been told of."""


def tell_end(place: Place, pipeline: str, goal: str, path: str) -> None:
    """Write the page that tells how a run ended, and keep a copy beside the run's records.

    Args:
        place: The run, its cluster and its store.
        pipeline: The pipeline's title.
        goal: Stage whose success is the run's.
        path: The page's file.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not place.cluster:
        Path(path).write_text(ON_ONE_MACHINE, encoding="utf-8")
        return
    summary = finish(store=place.store, run=place.run, pipeline=pipeline, goal=goal, cluster=place.cluster)
    page = publish(summary, place.store)
    try:
        Path(path).write_text(page, encoding="utf-8")
        print(page, flush=True)
    finally:  # such as a full disk: nobody would hear of the end of just that run
        _notify_once(summary, place.store)


def _notify_once(summary: RunSummary, store: str) -> None:
    """Tell the webhook, but not again when this task is repeated because a server did not end."""
    told, ending = "", _ending(summary)
    with suppress(GlobeError, OSError):
        told = f"{folder_of(store, summary.run)}/{TOLD_FILE}"
        if storage.exists(told) and storage.read_text(told) == ending:
            return
    said = notify(summary, os.environ)
    if said:
        emit(ENDING_STAGE, "note", figure=said)
    if said.startswith(TOLD):
        with suppress(GlobeError, OSError):
            storage.write_text(told, ending)


def _ending(summary: RunSummary) -> str:
    """What tells one ending of a run from another: a run whose failed tasks are repeated ends again."""
    stages = [use for use in summary.stages if use.name != ENDING_STAGE and not _is_server(use.name)]
    return "\n".join([summary.state, *(f"{use.name} {use.state} {use.seconds}" for use in stages)])


def _is_server(name: str) -> bool:
    return name.startswith(SERVER)


def finish(*, store: str, run: str, pipeline: str, goal: str, cluster: Cluster) -> RunSummary:
    """Say how a run ended.

    Args:
        store: Folder or s3:// prefix that keeps the results of all stages.
        run: The run's id, where the environment does not name it.
        pipeline: The pipeline's title.
        goal: Stage whose success is the run's.
        cluster: The cluster's settings, among them the price of a GPU-hour.

    Returns:
        The summary. Never raises for what is missing.
    """
    run = os.environ.get(RUN_VARIABLE) or run
    try:
        records, problem = read_records(store, run), ""
    except (GlobeError, OSError) as error:
        records, problem = [], f"the records of its stages cannot be read: {error}"
    return summarise(
        records,
        read_verdict(store, run),
        run=run,
        pipeline=pipeline,
        goal=goal,
        price=Money(cluster.gpu_hour_price, cluster.currency) if cluster.gpu_hour_price else None,
        now=datetime.now(UTC),
        problem=problem,
    )


def publish(summary: RunSummary, store: str) -> str:
    """Keep the summary as a page beside the run's records, as far as the store can be reached.

    Args:
        summary: The summary.
        store: Folder or s3:// prefix that keeps the results of all stages.

    Returns:
        The page, as Markdown.
    """
    page = summary_markdown(summary)
    try:
        storage.write_text(f"{folder_of(store, summary.run)}/{SUMMARY_FILE}", page)
    except (GlobeError, OSError) as error:
        emit(ENDING_STAGE, "note", figure=f"the run's summary is not kept in the store: {error}")
    return page


def summarise(
    records: Sequence[StageRecord],
    verdict: Verdict | None,
    *,
    run: str,
    pipeline: str,
    goal: str,
    price: Money | None,
    now: datetime,
    problem: str = "",
) -> RunSummary:
    """Compose the summary of a run.

    Args:
        records: What its stages have recorded, in the order of their start.
        verdict: The gate's; None if there is none.
        run: The run's id.
        pipeline: The pipeline's title.
        goal: Stage whose success is the run's.
        price: Of a GPU-hour; None if none is known.
        now: The end of the run.
        problem: Why the records could not be read.
    """
    state = _state(records, goal)
    used = tuple(_use(record) for record in records)
    gpu_hours = sum(use.gpu_hours for use in used) if used else None
    return RunSummary(
        run=run,
        pipeline=pipeline,
        title=f"{pipeline}: {state}" + (f" ({verdict.verdict})" if verdict else ""),
        state=state,
        verdict=verdict.verdict if verdict else "",
        reasons=_reasons(records, verdict, state, goal, problem),
        seconds=(now - records[0].start).total_seconds() if records else None,
        gpu_hours=gpu_hours,
        cost=Money(gpu_hours * price.amount, price.currency) if price and gpu_hours is not None else None,
        stages=used,
        figures=verdict.figures if verdict else {},
    )


def stage_title(name: str) -> str:
    """What people call a stage, or the server of a record."""
    if _is_server(name):
        return f"Server of {name.removeprefix(SERVER)}"
    return (STAGES[name].title if name in STAGES else "") or name.replace("_", " ").capitalize()


def _state(records: Sequence[StageRecord], goal: str) -> State:
    """Only a positive end counts: no failure, and the last stage's success."""
    stands = {record.state for record in _standing(records, goal)}
    if "failed" in stands:
        return "failed"
    if "rejected" in stands:
        return "rejected"
    return "succeeded" if _is_reached(records, goal) else "failed"


def _is_reached(records: Sequence[StageRecord], goal: str) -> bool:
    ended = [record.state for record in records if record.stage == goal]
    return bool(ended) and ended[-1] == "succeeded"


def _standing(records: Sequence[StageRecord], goal: str) -> list[StageRecord]:
    """The stages that did not succeed, without those that succeeded when they or the run's failed tasks were repeated.

    Several tasks of a stage may run side by side, so only one that started after a failure can have made good for it. Unless the
    last stage succeeded, for then all before it have: a node that was cut off may end its task, as failed, long after another
    node has begun to repeat it. An earlier tear-down is not the run's.
    """
    stages = [record for record in records if record.stage != ENDING_STAGE and not _is_server(record.stage)]
    is_reached = _is_reached(records, goal)

    def is_mended(failed: StageRecord) -> bool:
        since = failed.start if is_reached else failed.start + timedelta(seconds=failed.seconds)
        return any(other.stage == failed.stage and other.state == "succeeded" and other.start >= since for other in stages)

    return [record for record in stages if record.state != "succeeded" and not is_mended(record)]


def _reasons(records: Sequence[StageRecord], verdict: Verdict | None, state: State, goal: str, problem: str) -> tuple[str, ...]:
    judged = verdict.reasons if verdict else ()
    if state == "succeeded":
        return judged
    stands = _standing(records, goal)
    if state == "rejected":
        return judged or tuple(record.error for record in stands)
    failed = tuple(
        f"{stage_title(record.stage)}: {record.error or 'no reason is known'}" for record in stands if record.state == "failed"
    )
    if failed:
        return (*failed, *judged)
    if problem:
        return (f"how it ended is not known: {problem}",)
    ended = [record for record in records if not _is_server(record.stage)]
    # Another of several tasks side by side may have looked like a repetition of one that has failed.
    before = tuple(f"before that, {stage_title(one.stage)} failed: {one.error}" for one in ended if one.state == "failed")
    last = f"the last stage known to have ended is {stage_title(ended[-1].stage)}" if ended else "no stage is known to have ended"
    return (
        f"it ended before its last stage ({stage_title(goal)}): it was terminated, its time was over, or a pod was lost or never "
        f"started; {last}",
        *before,
        *judged,
    )


def _use(record: StageRecord) -> StageUse:
    return StageUse(
        name=record.stage,
        title=stage_title(record.stage),
        state=record.state,
        attempts=record.attempts,
        seconds=record.seconds,
        gpus=record.gpus,
        error=record.error,
        figure=record.figure,
    )
