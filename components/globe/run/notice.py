"""The notice of a run's end, as a webhook gets it: plain JSON for programs, Slack's format for people.

The JSON is one object. It is stable: fields may be added under the same `schema`; one that changes or goes makes a new schema.

    schema      "globe-run/1"
    run         the run's id
    pipeline    the pipeline's title
    title       one line: what run this is and how it ended
    state       "succeeded", "rejected" or "failed"
    verdict     the gate's word, "promote", "reject" or "inconclusive"; null if there is none
    reasons     texts: the gate's reasons, or why the run failed; those that decided first
    seconds     how long the run took; null if unknown
    gpu_hours   of all stages and servers; null if unknown
    cost        {"amount": number, "currency": text}; null unless the profile names a price
    figures     figures by name, all finite numbers
    stages      in the order in which they started: {"name", "title", "state", "attempts", "seconds", "gpus", "gpu_hours",
                "figure", "error"}
    url         the run's page; null unless GLOBE_RUN_PAGE is set
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from globe.redactor import Redactor
from globe.report.text import ABSENT, clean, duration
from globe.run.summary import RunSummary, StageUse

SCHEMA = "globe-run/1"
MAX_REASONS, MAX_FIGURES, MAX_STAGES = 20, 50, 200
LONGEST_TEXT = 1000
"""Characters of one reason, error or figure."""
SLACK_HEADER, SLACK_FIELD, SLACK_SECTION = 150, 200, 2500
"""The longest texts of a message. Slack takes 150, 2000 and 3000 characters, but no message of more than some 13,000 in all."""
SYMBOLS = {"succeeded": "✅", "rejected": "⛔", "failed": "❌"}
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_WEB_LINK = re.compile(r"(https?:)(?=//)", re.IGNORECASE)
_INVISIBLE = "\u200b"


def bounded(summary: RunSummary, hide: Redactor) -> RunSummary:
    """A summary as it may leave the cluster: secrets taken out, control characters too, and nothing endless."""

    def text(value: object, limit: int = LONGEST_TEXT) -> str:
        return clean(hide.hide(str(value)), limit)

    def stage(use: StageUse) -> StageUse:
        return replace(use, name=text(use.name), title=text(use.title), error=text(use.error), figure=text(use.figure))

    return replace(
        summary,
        run=text(summary.run),
        pipeline=text(summary.pipeline),
        title=text(summary.title),
        verdict=text(summary.verdict),
        reasons=tuple(map(text, summary.reasons[:MAX_REASONS])),
        stages=tuple(map(stage, summary.stages[:MAX_STAGES])),
        figures={text(name, 100): value for name, value in list(summary.figures.items())[:MAX_FIGURES]},
    )


def page_of(run: str, page: str) -> str:
    """The address of a run's page in the KFP UI.

    Args:
        run: The run's id.
        page: Address of the UI, such as https://kubeflow.example.org/_/pipeline/?ns=team; empty for none.
    """
    if not page:
        return ""
    base = page if "?" in page else f"{page.rstrip('/')}/"
    return f"{base}#/runs/details/{quote(run, safe='')}"


def as_json(summary: RunSummary, url: str) -> dict[str, Any]:
    """The notice for programs.

    Args:
        summary: The run's summary.
        url: Its page, or empty.
    """
    cost = summary.cost
    return {
        "schema": SCHEMA,
        "run": summary.run,
        "pipeline": summary.pipeline,
        "title": summary.title,
        "state": summary.state,
        "verdict": summary.verdict or None,
        "reasons": list(summary.reasons),
        "seconds": summary.seconds,
        "gpu_hours": summary.gpu_hours,
        "cost": {"amount": cost.amount, "currency": cost.currency} if cost else None,
        "figures": dict(summary.figures),
        "stages": [
            {
                "name": use.name,
                "title": use.title,
                "state": use.state,
                "attempts": use.attempts,
                "seconds": use.seconds,
                "gpus": use.gpus,
                "gpu_hours": use.gpu_hours,
                "figure": use.figure,
                "error": use.error,
            }
            for use in summary.stages
        ],
        "url": url or None,
    }


def as_slack(summary: RunSummary, url: str) -> dict[str, Any]:
    """The notice for people, as Slack's incoming webhooks take it (and those that copy them, such as Mattermost's).

    Args:
        summary: The run's summary.
        url: Its page, or empty.
    """
    head = f"{SYMBOLS[summary.state]} {summary.pipeline}: {summary.state}"
    errors = [f"{use.title or use.name}: {use.error}" for use in summary.stages if use.state == "failed" and use.error]
    figures = [f"{name} {value:,.6g}" for name, value in summary.figures.items()]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(re.sub("[<>&]", " ", head), SLACK_HEADER), "emoji": True}},
        *_section([summary.title], 4 * SLACK_FIELD),
        {"type": "section", "fields": [_text(f"*{name}*\n{value}", SLACK_FIELD) for name, value in _facts(summary)]},
        *_section([f"• {reason}" for reason in summary.reasons]),
        *_section([f"• {error}" for error in errors if error not in summary.reasons]),
        *_section(figures),
        {"type": "context", "elements": [_text(_where(summary.run, url), 4 * SLACK_FIELD)]},
    ]
    return {"text": _cut(slack_text(f"{head}. {summary.title}"), 4 * SLACK_FIELD), "blocks": blocks}


def slack_text(text: str) -> str:
    """Untrusted text for Slack: nothing in it is markup, a mention or a web link."""
    tamed = _WEB_LINK.sub(rf"\1{_INVISIBLE}", text).replace("@", f"@{_INVISIBLE}")
    return tamed.translate(_ENTITIES)


def _facts(summary: RunSummary) -> Iterable[tuple[str, str]]:
    yield "State", summary.state
    if summary.verdict:
        yield "Verdict", slack_text(summary.verdict)
    yield "Duration", duration(summary.seconds)
    yield "GPU-hours", ABSENT if summary.gpu_hours is None else f"{summary.gpu_hours:,.1f}"
    if summary.cost:
        yield "Cost", slack_text(str(summary.cost))


def _where(run: str, url: str) -> str:
    if len(url) > 2 * SLACK_FIELD:
        url = ""  # cut short it would lead nowhere
    address = url.replace("<", "%3C").replace(">", "%3E").replace("|", "%7C").translate(_ENTITIES)
    return f"<{address}|Open the run> {slack_text(run)}" if url else f"Run {slack_text(run)}"


def _section(lines: Iterable[str], limit: int = SLACK_SECTION) -> list[dict[str, Any]]:
    """A block of untrusted lines; none without any."""
    text = "\n".join(slack_text(line) for line in lines if line)
    return [{"type": "section", "text": _text(text, limit)}] if text else []


def _text(text: str, limit: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": _cut(text, limit), "verbatim": True}


def _cut(text: str, limit: int) -> str:
    """A text of at most so many characters, which does not end within an entity."""
    if len(text) <= limit:
        return text
    return re.sub(r"&[a-z]*$", "", text[: limit - 1]) + "…"
