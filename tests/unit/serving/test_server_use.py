"""What a server took: recorded when it ends, whatever ended it, from the moment when its pod got its GPUs."""

from datetime import UTC, datetime, timedelta

import pytest
from cluster_servers import place as where
from cluster_servers import start

from globe.errors import GlobeError
from globe.run.records import read_records
from globe.serving import cleanup
from globe.serving.server_use import server_use
from globe.serving.teardown import teardown

GPU = "nvidia.com/gpu"
MADE = "2026-11-03T09:00:00Z"
NAMES = {"metadata": {"labels": {"globe.dev/model": "policy"}, "creationTimestamp": MADE}}


def deployment(gpus: str | None) -> dict:
    container = {"resources": {"limits": {"memory": "1Gi"} | ({GPU: gpus} if gpus else {})}}
    return NAMES | {"spec": {"template": {"spec": {"containers": [container]}}}}


def test_gpus_are_held_from_the_start_of_the_oldest_pod():
    pods = [{"status": {"startTime": f"2026-11-03T09:{minute:02d}:00Z"}} for minute in (40, 10)]
    use = server_use(deployment("2"), pods, GPU)
    assert (use.model, use.gpus, use.started) == ("policy", 2, datetime(2026, 11, 3, 9, 10, tzinfo=UTC))


def test_a_server_without_gpus_or_still_without_a_node_holds_none():
    assert server_use(deployment(None), [{"status": {"startTime": MADE}}], GPU).gpus == 0
    waits = server_use(deployment("2"), [{"status": {"phase": "Pending"}}], GPU)
    assert (waits.gpus, waits.started) == (0, datetime(2026, 11, 3, 9, 0, tzinfo=UTC))


def test_a_server_whose_pod_a_quota_forbids_holds_none():
    refused = {"conditions": [{"type": "Progressing", "status": "True"}, {"type": "ReplicaFailure", "status": "True"}]}
    assert server_use(deployment("2") | {"status": refused}, [], GPU).gpus == 0
    assert server_use(deployment("2") | {"status": refused}, [{"status": {"startTime": MADE}}], GPU).gpus == 2


def test_a_server_whose_pods_are_gone_counts_from_its_making():
    assert server_use(deployment("2"), [], GPU).gpus == 2
    assert server_use({**deployment("2"), "metadata": {"labels": NAMES["metadata"]["labels"]}}, [], GPU) is None


@pytest.fixture
def started(api, statuses):
    """The moment when the double's pods got their node."""
    _, ready = statuses
    moment = datetime.now(UTC) - timedelta(hours=2)
    api.pods_of = lambda deployment: [ready() | {"startTime": moment.isoformat(timespec="seconds").replace("+00:00", "Z")}]
    return moment


def test_the_tear_down_records_what_each_server_took(api, started, claim):
    place = where("run-1", 1, claim)
    start(place)
    teardown(place)
    (record,) = read_records(str(claim), "run-1")
    assert (record.stage, record.gpus, record.state) == ("server:grpo", 1, "succeeded")
    assert record.seconds == pytest.approx(7200, abs=60)
    assert abs(record.start - started) < timedelta(seconds=1)
    teardown(place)
    assert read_records(str(claim), "run-1") == [record]


def test_a_server_that_never_answered_has_not_succeeded(api, started, claim):
    place = where("run-1", 1, claim)
    start(place)
    for one in api.objects["deployments"].values():
        one["status"] = {}
    teardown(place)
    (record,) = read_records(str(claim), "run-1")
    assert (record.state, record.error) == ("failed", "it did not answer when it was ended")


def test_a_server_that_does_not_end_is_recorded_all_the_same(api, started, claim, monkeypatch):
    place = where("run-1", 1, claim)
    start(place)
    monkeypatch.setattr(cleanup, "DELETION_TIMEOUT_S", 0.05)
    api.lingering = 10**6
    with pytest.raises(GlobeError, match="still there"):
        teardown(place)
    assert [record.stage for record in read_records(str(claim), "run-1")] == ["server:grpo"]


def test_a_store_that_is_away_does_not_keep_a_server_from_ending(api, started, claim, capsys):
    place = where("run-1", 1, claim)
    start(place)
    (claim / "runs").rename(claim / "moved")
    (claim / "runs").write_text("in the way")
    teardown(place)
    assert api.objects["deployments"] == {}
    assert "the end of the run will not tell what the server of grpo took" in capsys.readouterr().err


def test_a_pipeline_without_servers_needs_no_cluster_to_end(capsys, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    teardown(where("run-1"), servers=False)
    assert "[teardown] done no server was running" in capsys.readouterr().err
