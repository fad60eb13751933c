"""The end of a run, told from what its stages left in the store: how it ended, why, what it took; and it fails nothing itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from webhook_server import webhook_server

from globe.run.cluster import Cluster, Place
from globe.run.finish import ON_ONE_MACHINE, SUMMARY_FILE, finish, summarise, tell_end
from globe.run.records import SERVER, StageRecord, write_record
from globe.run.stage import RUN_VARIABLE
from globe.run.summary import Money
from globe.run.verdicts import Verdict, write_verdict

BEGIN = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
RUN = "5d1c3f9e-0000-4000-8000-000000000001"


def record(stage: str, after_min: float, minutes: float, state: str = "succeeded", **more) -> StageRecord:
    started = (BEGIN + timedelta(minutes=after_min)).isoformat(timespec="microseconds")
    return StageRecord(run=RUN, stage=stage, state=state, started=started, seconds=60 * minutes, **more)


TRAINED = [
    record("validate", 0, 1),
    record("sft", 1, 90, gpus=8, attempts=2, figure="1000 rows"),
    record(f"{SERVER}policy", 95, 30, gpus=2),
    record("gate", 100, 1, figure="promote: better"),
    record("promote", 102, 0.5),
]
VERDICT = Verdict("promote", "promote", ("better by 4 points", "all read"), {"pictures": 300.0})


def told(records, verdict=None, **more):
    now = BEGIN + timedelta(hours=3)
    options = {"run": RUN, "pipeline": "GLOBE training", "goal": "promote", "price": None, "now": now} | more
    return summarise(records, verdict, **options)


def test_gpu_hours_are_seconds_times_the_gpus_that_were_promised_servers_included():
    summary = told(TRAINED, VERDICT, price=Money(2.5, "EUR"))
    hours = sum(one.seconds * one.gpus for one in TRAINED) / 3600
    assert summary.gpu_hours == pytest.approx(hours) == pytest.approx(8 * 1.5 + 2 * 0.5)
    assert summary.cost == Money(pytest.approx(2.5 * hours), "EUR")
    assert [use.gpu_hours for use in summary.stages] == pytest.approx([0, 12, 1, 0, 0])
    assert [use.title for use in summary.stages] == ["Check inputs", "SFT", "Server of policy", "Gate", "Promote"]


def test_a_run_succeeds_only_if_its_last_stage_did_and_none_failed():
    assert told(TRAINED).state == "succeeded"
    assert told(TRAINED[:-1]).state == "failed"
    assert told([*TRAINED, record("stop_server", 103, 1, "failed", error="still there")]).state == "failed"
    assert told([*TRAINED[:-1], record("verdict", 102, 1, "rejected", error="worse")]).state == "rejected"
    assert told([]).state == "failed"


def test_a_server_or_an_earlier_end_of_the_run_decides_nothing():
    assert told([*TRAINED, record(f"{SERVER}reward_model", 50, 1, "failed")]).state == "succeeded"
    assert told([*TRAINED, record("teardown", 110, 1, "failed")]).state == "succeeded"


def test_a_stage_that_succeeds_when_the_run_is_repeated_makes_good_for_its_failure():
    repeated = [record("sft", 0, 10, "failed", error="no room"), record("sft", 20, 5), record("promote", 30, 1)]
    assert told(repeated).state == "succeeded"


def test_one_of_several_tasks_side_by_side_does_not_make_good_for_another():
    side_by_side = [
        record("annotate", 0, 10, "failed", error="teacher away"),
        record("annotate", 1, 20),
    ]
    summary = told(side_by_side)
    assert summary.state == "failed"
    assert summary.reasons == ("Annotate: teacher away",)


def test_a_task_on_a_node_that_was_cut_off_may_fail_after_another_has_begun_to_repeat_it():
    cut_off = [
        record("validate", 0, 1),
        record("sft", 1, 180, "failed", gpus=8, error="told to end"),
        record("sft", 60, 90, gpus=8),
    ]
    assert told([*cut_off, record("promote", 200, 1)]).state == "succeeded"
    assert told([*cut_off, record("promote", 200, 1)]).gpu_hours == pytest.approx(8 * (3 + 1.5))
    assert told(cut_off).reasons == ("SFT: told to end",)


def test_a_failure_is_named_even_if_another_task_of_its_stage_began_later_and_succeeded():
    waited_for_room = [record("annotate", 0, 10, "failed", error="teacher away"), record("annotate", 15, 20)]
    summary = told(waited_for_room)
    assert summary.state == "failed"
    assert "before that, Annotate failed: teacher away" in summary.reasons


def test_the_reasons_are_the_gates_where_it_decided_and_the_stages_where_one_failed():
    assert told(TRAINED, VERDICT).reasons == VERDICT.reasons
    worse = Verdict("reject", "reject", ("worse by 4 points",))
    rejected = told([*TRAINED[:-1], record("verdict", 102, 1, "rejected", error="the gate rejected")], worse)
    assert (rejected.reasons, rejected.verdict) == (("worse by 4 points",), "reject")
    assert told([*TRAINED[:-1], record("verdict", 102, 1, "rejected", error="the gate rejected")]).reasons == (
        "the gate rejected",
    )
    assert told([record("sft", 0, 1, "failed", error="CUDA out of memory")]).reasons == ("SFT: CUDA out of memory",)


def test_a_run_that_was_ended_says_how_far_it_is_known_to_have_come():
    (reason,) = told(TRAINED[:2]).reasons
    assert "ended before its last stage (Promote)" in reason
    assert "the last stage known to have ended is SFT" in reason
    assert "no stage is known to have ended" in told([]).reasons[0]
    assert told([]).gpu_hours is None


@pytest.fixture
def store(tmp_path):
    for one in TRAINED:
        write_record(str(tmp_path), one)
    judged = {"verdict": "promote", "decision": "promote", "reasons": ["better by 4 points"]}
    write_verdict(str(tmp_path), RUN, judged, {"n": 300, "accuracy": {"25": 61.5, "200": float("nan")}, "median_km": None})
    return tmp_path


def test_records_and_verdict_are_read_from_the_store_of_the_run_that_the_environment_names(store, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, RUN)
    summary = finish(
        store=str(store), run="another", pipeline="GLOBE training", goal="promote", cluster=Cluster(gpu_hour_price=2)
    )
    assert (summary.run, summary.state, summary.reasons) == (RUN, "succeeded", ("better by 4 points",))
    assert summary.figures == {"pictures": 300.0, "within_25_km_percent": 61.5}
    assert summary.cost == Money(pytest.approx(26.0), "USD")
    assert [use.name for use in summary.stages] == [one.stage for one in TRAINED]


def test_a_store_that_is_away_or_a_run_without_an_id_is_told_and_fails_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    nameless = finish(store=str(tmp_path), run="", pipeline="GLOBE training", goal="promote", cluster=Cluster())
    assert nameless.state == "failed"
    assert "how it ended is not known: the records of its stages cannot be read" in nameless.reasons[0]
    (tmp_path / "runs").write_text("in the way of the records")
    place = Place(RUN, cluster=Cluster(), store=str(tmp_path))
    tell_end(place, "GLOBE training", "promote", str(tmp_path / "out" / "summary"))
    assert "**failed**" in (tmp_path / "out" / "summary").read_text()


def test_the_page_lies_beside_the_records_and_the_webhook_hears_of_an_ending_once(store, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    place = Place(RUN, cluster=Cluster(), store=str(store))
    with webhook_server() as webhook:
        monkeypatch.setenv("GLOBE_WEBHOOK_URL", webhook.url)
        monkeypatch.setenv("GLOBE_WEBHOOK_FORMAT", "json")
        for _ in range(2):  # the second time is a repetition of the task, because a server did not end
            tell_end(place, "GLOBE training", "promote", str(tmp_path / "page"))
            write_record(str(store), record(f"{SERVER}policy", 96, 31, gpus=2))
        assert [(one["run"], one["state"]) for one in webhook.notices] == [(RUN, "succeeded")]
        write_record(str(store), record("sft", 120, 5, "failed"))
        tell_end(place, "GLOBE training", "promote", str(tmp_path / "page"))
    assert [one["state"] for one in webhook.notices] == ["succeeded", "failed"]
    assert (store / "runs" / RUN / SUMMARY_FILE).read_text() == (tmp_path / "page").read_text()


def test_a_webhook_that_could_not_be_told_is_tried_again_when_the_task_is_repeated(store, tmp_path, monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    with webhook_server(lambda number: (404 if number == 1 else 200, {}, "")) as webhook:
        monkeypatch.setenv("GLOBE_WEBHOOK_URL", webhook.url)
        for _ in range(3):
            tell_end(Place(RUN, cluster=Cluster(), store=str(store)), "GLOBE training", "promote", str(tmp_path / "page"))
    assert len(webhook.notices) == 2


def test_the_webhook_hears_of_a_run_whose_page_cannot_be_written(store, monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    with webhook_server() as webhook:
        monkeypatch.setenv("GLOBE_WEBHOOK_URL", webhook.url)
        with pytest.raises(OSError, match="No space left"):
            tell_end(Place(RUN, cluster=Cluster(), store=str(store)), "GLOBE training", "promote", "/dev/full")
    assert [one["state"] for one in webhook.notices] == ["succeeded"]


def test_on_one_machine_nothing_is_kept_or_sent(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GLOBE_WEBHOOK_URL", "http://127.0.0.1:9/")
    tell_end(Place("run-1", store=str(tmp_path / "store")), "GLOBE training", "promote", str(tmp_path / "page"))
    assert not (tmp_path / "store").exists()
    assert (tmp_path / "page").read_text() == ON_ONE_MACHINE
    assert capsys.readouterr() == ("", "")


def test_records_of_another_zone_are_ordered_and_counted_alike():
    shifted = [replace(one, started=one.start.astimezone().isoformat()) for one in TRAINED]
    assert told(shifted).gpu_hours == pytest.approx(told(TRAINED).gpu_hours)
