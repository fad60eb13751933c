"""What a webhook gets, field by field, and what no text of a stranger can do in it."""

import json

import pytest

from globe.redactor import Redactor
from globe.run.notice import as_json, as_slack, bounded, page_of, slack_text
from globe.run.summary import Money, RunSummary, StageUse

STAGES = (
    StageUse("sft", "SFT", "succeeded", 2, 3600.0, 8, figure="100 rows"),
    StageUse("server:policy", "Server policy", "failed", 1, 1800.0, 1, error="out of memory"),
)
REJECTED = RunSummary(
    run="ab-12",
    pipeline="GLOBE training",
    title="run ab-12 was rejected",
    state="rejected",
    verdict="reject",
    reasons=("within 25 km 1.0% < 2.0%", "n 3"),
    seconds=7620.0,
    gpu_hours=8.5,
    cost=Money(21.25, "EUR"),
    stages=STAGES,
    figures={"within 25 km": 1.5},
)
BARE = RunSummary(run="r", pipeline="GLOBE curation", title="t", state="failed")


def texts(message: dict) -> list[str]:
    """Every text that Slack would show."""
    found = []
    for block in message["blocks"]:
        found += [part["text"] for part in (*block.get("fields", ()), *block.get("elements", ())) if "text" in part]
        found += [block["text"]["text"]] if "text" in block else []
    return found


def test_programs_get_every_field_of_the_documented_object():
    assert as_json(REJECTED, "https://kf/#/runs/details/ab-12") == {
        "schema": "globe-run/1",
        "run": "ab-12",
        "pipeline": "GLOBE training",
        "title": "run ab-12 was rejected",
        "state": "rejected",
        "verdict": "reject",
        "reasons": ["within 25 km 1.0% < 2.0%", "n 3"],
        "seconds": 7620.0,
        "gpu_hours": 8.5,
        "cost": {"amount": 21.25, "currency": "EUR"},
        "figures": {"within 25 km": 1.5},
        "stages": [
            {"name": "sft", "title": "SFT", "state": "succeeded", "attempts": 2, "seconds": 3600.0, "gpus": 8}
            | {"gpu_hours": 8.0, "figure": "100 rows", "error": ""},
            {"name": "server:policy", "title": "Server policy", "state": "failed", "attempts": 1, "seconds": 1800.0, "gpus": 1}
            | {"gpu_hours": 0.5, "figure": "", "error": "out of memory"},
        ],
        "url": "https://kf/#/runs/details/ab-12",
    }


def test_what_is_not_known_is_null_and_never_zero():
    notice = as_json(BARE, "")
    assert {name for name, value in notice.items() if value is None} == {"verdict", "seconds", "gpu_hours", "cost", "url"}
    assert (notice["reasons"], notice["stages"], notice["figures"]) == ([], [], {})


def test_people_get_state_verdict_duration_hours_cost_reasons_errors_and_a_link():
    message = as_slack(REJECTED, "https://kf/?ns=a&b=c#/runs/details/ab-12")
    assert message["text"] == "⛔ GLOBE training: rejected. run ab-12 was rejected"
    assert [block["type"] for block in message["blocks"]] == ["header", *["section"] * 5, "context"]
    assert texts(message) == [
        "⛔ GLOBE training: rejected",
        "run ab-12 was rejected",
        "*State*\nrejected",
        "*Verdict*\nreject",
        "*Duration*\n2 h 07 min",
        "*GPU-hours*\n8.5",
        "*Cost*\n21.25 EUR",
        "• within 25 km 1.0% &lt; 2.0%\n• n 3",
        "• Server policy: out of memory",
        "within 25 km 1.5",
        "<https://kf/?ns=a&amp;b=c#/runs/details/ab-12|Open the run> ab-12",
    ]


def test_a_run_of_which_little_is_known_makes_no_empty_block():
    message = as_slack(BARE, "")
    assert all(texts(message))
    assert texts(message)[2:] == ["*State*\nfailed", "*Duration*\n–", "*GPU-hours*\n–", "Run r"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> a & b", "&lt;!channel&gt; a &amp; b"),
        ("<https://evil.example|click>", "&lt;https:\u200b//evil.example|click&gt;"),
        ("see HTTP://evil.example", "see HTTP:\u200b//evil.example"),
        ("@channel @here", "@\u200bchannel @\u200bhere"),
        ("s3://bucket/model", "s3://bucket/model"),
    ],
)
def test_nothing_that_a_stranger_writes_is_markup_a_mention_or_a_web_link(text, shown):
    assert slack_text(text) == shown


def test_no_part_of_a_message_leaves_a_strangers_text_as_it_is():
    evil = "<!here|x> @channel http://e.example"
    stage = StageUse(evil, evil, "failed", 1, 1.0, 0, error=evil, figure=evil)
    message = as_slack(RunSummary(evil, evil, evil, "failed", evil, (evil,), 1.0, 1.0, Money(1, evil), (stage,), {evil: 1.0}), "")
    written = json.dumps([message["text"], *texts(message)[1:]], ensure_ascii=False)
    assert not [part for part in ("<", ">", "@c", "http://") if part in written]
    assert not {"<", ">"} & set(texts(message)[0])
    assert all(part["verbatim"] for block in message["blocks"] for part in block.get("fields", ()))


def test_however_long_the_texts_are_slack_takes_the_message():
    long = StageUse("s", "S", "failed", 1, 1.0, 0, error="&" * 9000, figure="&" * 9000)
    endless = RunSummary(
        *("r" * 9000, "p" * 9000, "<" * 9000, "failed", "v" * 9000, tuple(f"{i}" + "&" * 9000 for i in range(500))),
        *(1.0, 1.0, Money(1, "c" * 9000), (long,) * 500, {f"{i}{'>' * 9000}": 1.0 for i in range(500)}),
    )
    told = bounded(endless, Redactor({}))
    message = as_slack(told, "")
    assert len(message["blocks"]) <= 50
    assert len(message["blocks"][0]["text"]["text"]) <= 150
    assert all(len(part["text"]) <= 2000 for block in message["blocks"] for part in block.get("fields", ()))
    assert all(len(text) <= 3000 for text in (message["text"], *texts(message)))
    assert sum(map(len, texts(message))) < 13_000
    assert not [text for text in texts(message) if text.endswith(("&…", "&a…", "&am…", "&amp…", "&l…", "&lt…", "&g…", "&gt…"))]
    assert len(json.dumps(as_json(told, ""))) < 1_000_000


def test_a_secret_and_what_steers_a_terminal_leave_in_no_field():
    secret = "planted-secret-0815"
    text = f"key {secret} \x1b[31m\x00"
    stage = StageUse(text, text, "failed", 1, 1.0, 0, error=text, figure=text)
    summary = RunSummary(text, text, text, "failed", text, (text,), stages=(stage,), figures={text: 1.0})
    told = bounded(summary, Redactor({"AWS_SECRET_ACCESS_KEY": secret}))
    for payload in (as_json(told, ""), as_slack(told, "")):
        written = json.dumps(payload, ensure_ascii=False)
        assert secret not in written
        assert "\\u001b" not in written
        assert written.count("key ***") >= 3


@pytest.mark.parametrize(
    ("page", "url"),
    [
        ("", ""),
        ("https://kf/pipeline", "https://kf/pipeline/#/runs/details/a%2Fb"),
        ("https://kf/pipeline/", "https://kf/pipeline/#/runs/details/a%2Fb"),
        ("https://kf/_/pipeline/?ns=team", "https://kf/_/pipeline/?ns=team#/runs/details/a%2Fb"),
    ],
)
def test_the_link_is_the_runs_page_in_the_ui(page, url):
    assert page_of("a/b", page) == url
