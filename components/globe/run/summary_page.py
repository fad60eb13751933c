"""A run's summary as Markdown, for the page of its last task and for `submit --wait`."""

from globe.markdown import escape, table
from globe.report.text import count, duration
from globe.run.summary import Money, RunSummary, StageUse

LONGEST_TEXT = 300
HOW = (
    "GPU-hours: the GPUs that a pod was promised, for all of its time; a server's, from its start to its end. A pod that was "
    "lost left no record and is not among them."
)
NO_RECORDS = "No stage has left a record, so it is not known what the run took."


def summary_markdown(summary: RunSummary) -> str:
    """The page: how the run ended and why, and a table of what its stages took."""
    facts = [("run", escape(summary.run)), ("ended", f"**{summary.state}**")]
    if summary.verdict:
        facts.append(("gate", f"**{escape(summary.verdict)}**"))
    if summary.seconds is not None:
        facts.append(("time", duration(summary.seconds)))
    if summary.gpu_hours is not None:
        facts.append(("GPU-hours", _hours(summary.gpu_hours)))
    if summary.cost:
        facts.append(("cost", escape(str(summary.cost))))
    parts = [f"## {escape(summary.title)}", table(("", ""), facts)]
    if summary.reasons:
        parts.append("\n".join(f"- {escape(reason)}" for reason in summary.reasons))
    if summary.figures:
        parts.append(
            table(("figure", ":"), [(escape(name.replace("_", " ")), _figure(v)) for name, v in summary.figures.items()])
        )
    parts.append("\n\n".join([_stages(summary), HOW]) if summary.stages else NO_RECORDS)
    return "\n\n".join(parts) + "\n"


def _stages(summary: RunSummary) -> str:
    price = Money(summary.cost.amount / summary.gpu_hours, summary.cost.currency) if summary.cost and summary.gpu_hours else None
    money = (f"{escape(price.currency)}:",) if price else ()
    head = ("stage", "ended", "time:", "GPUs:", "GPU-hours:", *money, "attempts:", "")
    return table(head, [_row(use, price) for use in summary.stages])


def _row(use: StageUse, price: Money | None) -> tuple[str, ...]:
    money = (f"{use.gpu_hours * price.amount:,.2f}",) if price else ()
    said = escape((use.error or use.figure)[:LONGEST_TEXT])
    return (
        escape(use.title),
        use.state,
        duration(use.seconds),
        str(use.gpus),
        _hours(use.gpu_hours),
        *money,
        str(use.attempts),
        said,
    )


def _hours(hours: float) -> str:
    return f"{hours:,.2f}"


def _figure(value: float) -> str:
    return count(value) if value == int(value) else f"{value:,.1f}"
