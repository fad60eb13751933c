"""`schedule`: one recurring run of that name, made once, replaced and deleted as asked."""

import json

import pytest
import yaml

from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED
from pipelines.remote.package import Package

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend

NIGHTLY = ("evaluation", "--cron", "0 3 * * *")


def crons(server):
    return [run.trigger["cron_schedule"]["cron"] for run in server.backend.recurring]


def test_an_evaluation_every_night_is_asked_for_whole(schedule_command):
    with KfpApiDouble(KfpBackend(version="2.16.0")) as server:
        ended = schedule_command(server, *NIGHTLY, "--set", "model=/mnt/globe/models/m", "--service-account", "runner")
    assert ended.code == 0, ended.err
    (sent,) = server.received("POST /recurringruns")
    (upload,) = server.received("POST /pipelines/upload_version")
    package = Package.read(COMPILED / "kfp-2.16" / "evaluation.yaml")
    assert upload.body == package.path.read_text()
    assert server.backend.versions[0].display_name == package.digest
    defaults = PIPELINES["evaluation"].parameters().model_dump()
    assert {name: sent.body["runtime_config"]["parameters"][name] for name in ("model", "dataset", "promote")} == {
        "model": "/mnt/globe/models/m",
        "dataset": defaults["dataset"],
        "promote": defaults["promote"],
    }
    assert sent.body["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (sent.body["display_name"], sent.body["mode"]) == ("globe-evaluation", "ENABLE")
    assert (sent.body["max_concurrency"], sent.body["no_catchup"], sent.body["service_account"]) == ("1", True, "runner")
    reference = {"pipeline_id": "pipeline-1", "pipeline_version_id": server.backend.versions[0].pipeline_version_id}
    assert sent.body["pipeline_version_reference"] == reference
    assert any(line.startswith("scheduled globe-evaluation: 0 0 3 * * *") for line in ended.lines)


def test_the_same_given_twice_is_one_and_a_paused_one_is_said_to_be(schedule_command):
    with KfpApiDouble() as server:
        assert schedule_command(server, *NIGHTLY).code == 0
        again = schedule_command(server, *NIGHTLY)
        assert again.code == 0
        assert "found globe-evaluation is scheduled already, just so" in again.lines
        server.backend.recurring[0].status = "DISABLED"
        assert (
            "found globe-evaluation is scheduled already, just so; but it is paused" in schedule_command(server, *NIGHTLY).lines
        )
    assert len(server.received("POST /recurringruns")) == 1


DIFFERENCES = [
    ("--cron", "0 4 * * *"),
    ("--cron", "0 3 * * *", "--set", "model=/mnt/globe/models/other"),
    ("--cron", "0 3 * * *", "--max-concurrency", "2"),
    ("--cron", "0 3 * * *", "--catchup"),
    ("--cron", "0 3 * * *", "--service-account", "other"),
]


@pytest.mark.parametrize("other", DIFFERENCES)
def test_another_one_of_that_name_is_refused_or_replaced(schedule_command, other):
    with KfpApiDouble() as server:
        assert schedule_command(server, *NIGHTLY).code == 0
        first = server.backend.recurring[0].recurring_run_id
        refused = schedule_command(server, "evaluation", *other)
        assert refused.code == 2
        assert "--name globe-evaluation: another schedule of that name is there (0 0 3 * * *)" in refused.err
        assert [run.recurring_run_id for run in server.backend.recurring] == [first]
        replaced = schedule_command(server, "evaluation", *other, "--replace")
        assert replaced.code == 0, replaced.err
        (left,) = server.backend.recurring
    assert left.recurring_run_id != first
    order = [request.method for request in server.backend.received if "recurringruns" in request.what and request.method != "GET"]
    assert order == ["POST", "POST", "DELETE"]  # never a moment without any


def test_one_that_could_not_be_replaced_is_pointed_out_until_it_is(schedule_command):
    with KfpApiDouble(faults=[Fault("DELETE /recurringruns", 409, times=1)]) as server:
        schedule_command(server, *NIGHTLY)
        later = ("evaluation", "--cron", "0 4 * * *")
        assert schedule_command(server, *later, "--replace").code == 2
        assert crons(server) == ["0 0 3 * * *", "0 0 4 * * *"]
        again = schedule_command(server, *later)
        assert "also there globe-evaluation: 0 0 3 * * *, which starts runs, too; --replace deletes it" in again.lines
        replaced = schedule_command(server, *later, "--replace")
        assert not [line for line in replaced.lines if line.startswith("also there")]
        assert crons(server) == ["0 0 4 * * *"]


def test_another_name_is_another_schedule(schedule_command):
    with KfpApiDouble() as server:
        schedule_command(server, *NIGHTLY)
        assert schedule_command(server, "evaluation", "--cron", "0 4 * * *", "--name", "late").code == 0
        assert crons(server) == ["0 0 3 * * *", "0 0 4 * * *"]
        listed = schedule_command(server, "--list")
    assert [line.split(" By ")[0] for line in listed.lines] == [
        "scheduled globe-evaluation: 0 0 3 * * *",
        "scheduled late: 0 0 4 * * *",
    ]


@pytest.mark.parametrize("how", ["lost", "gateway", 503])
def test_an_answer_that_gets_lost_makes_no_second_one(schedule_command, how):
    with KfpApiDouble(faults=[Fault("POST /recurringruns", how, times=1)]) as server:
        assert schedule_command(server, *NIGHTLY).code == 0
        assert len(server.backend.recurring) == 1


def test_deleting_leaves_the_others_and_says_what_there_is_if_nothing_has_the_name(schedule_command):
    with KfpApiDouble() as server:
        schedule_command(server, *NIGHTLY)
        schedule_command(server, "evaluation", "--cron", "0 4 * * *", "--name", "late")
        wrong = schedule_command(server, "--delete", "lat")
        assert wrong.code == 2
        assert "there is globe-evaluation, late" in wrong.err
        assert schedule_command(server, "--delete", "late").code == 0
        assert crons(server) == ["0 0 3 * * *"]


def going_run(server):
    """A run that a recurring run has started, and that goes on."""
    (recurring,) = server.backend.recurring
    spec = next(yaml.safe_load_all((COMPILED / "kfp-2.15" / "evaluation.yaml").read_text()))
    body = {"experiment_id": recurring.experiment_id, "display_name": "n-1", "recurring_run_id": recurring.recurring_run_id}
    server.backend.runs["0000-1"] = {"body": body, "spec": spec, "platform": {}, "looks": 0, "terminated": False}


@pytest.mark.parametrize("given", [("--delete", "globe-evaluation"), ("evaluation", "--cron", "0 4 * * *", "--replace")])
def test_before_2_16_nothing_is_deleted_while_a_run_of_it_would_be_deleted_with_it(schedule_command, given):
    told = ("--backend", "2.15")
    with KfpApiDouble(KfpBackend(version="2.15.0")) as server:
        schedule_command(server, *NIGHTLY, *told)
        going_run(server)
        refused = schedule_command(server, *given, *told)
        assert refused.code == 2
        assert "its run n-1 is going on" in refused.err
        assert crons(server) == ["0 0 3 * * *"]
        server.backend.runs["0000-1"]["terminated"] = True
        assert schedule_command(server, *given, *told).code == 0


def test_from_2_16_on_its_runs_outlive_it(schedule_command):
    with KfpApiDouble(KfpBackend(version="2.16.0")) as server:
        schedule_command(server, *NIGHTLY)
        going_run(server)
        assert schedule_command(server, "--delete", "globe-evaluation").code == 0
        assert not server.backend.recurring
        assert list(server.backend.runs) == ["0000-1"]


def test_looking_makes_nothing_and_needs_no_version(schedule_command):
    with KfpApiDouble(KfpBackend(version="2.5.0")) as server:
        listed = schedule_command(server, "--list")
        gone = schedule_command(server, "--delete", "nightly")
    assert (listed.code, listed.lines) == (0, [])
    assert gone.code == 2
    assert "there is nothing" in gone.err
    assert not server.received("POST")


def test_each_run_may_have_a_result_of_its_own_and_one_place_for_all_is_pointed_out(schedule_command):
    with KfpApiDouble() as server:
        own = schedule_command(server, *NIGHTLY, "--set", "result=s3://bucket/{run}.json")
        shared = schedule_command(server, *NIGHTLY, "--set", "result=s3://bucket/latest.json", "--name", "other")
    first, second = server.received("POST /recurringruns")
    assert first.body["runtime_config"]["parameters"]["result"] == "s3://bucket/{run}.json"
    assert second.body["runtime_config"]["parameters"]["result"] == "s3://bucket/latest.json"
    assert "overwritten by each run" not in own.out
    assert "s3://bucket/latest.json is overwritten by each run" in shared.out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "give a pipeline to schedule, or --list, or --delete NAME"),
        (("evaluation", "--list"), "give a pipeline to schedule, or --list"),
        (("evaluation",), "--cron: say when"),
        (("evaluation", "--cron", "every night"), "--cron 'every night'"),
        (("nightly", "--cron", "0 3 * * *"), "no pipeline 'nightly'"),
        ((*NIGHTLY, "--profile", "demo"), "no cluster section"),
        ((*NIGHTLY, "--set", "modle=x"), "modle"),
    ],
)
def test_what_is_wrong_is_said_before_the_server_is_asked_for_anything(schedule_command, given, says):
    with KfpApiDouble() as server:
        ended = schedule_command(server, *given)
    assert ended.code == 2
    assert says in ended.err
    assert not server.backend.received


def test_a_server_that_is_too_old_or_does_not_say_gets_nothing(schedule_command):
    for backend, says in ((KfpBackend(tag="2.3.0"), "GLOBE needs 2.5"), (KfpBackend(version="2.15.0"), "--backend VERSION")):
        with KfpApiDouble(backend) as server:
            ended = schedule_command(server, *NIGHTLY)
        assert ended.code == 2
        assert says in ended.err
        assert not server.received("POST")


def test_the_description_says_where_it_comes_from(schedule_command):
    with KfpApiDouble() as server:
        schedule_command(server, *NIGHTLY)
    description = server.received("POST /recurringruns")[0].body["description"]
    assert "By `python -m pipelines schedule`" in description
    assert "for KFP 2.17" in description
    assert json.loads(server.received("POST /pipelines/upload_version")[0].query["tags"])["kfp"] == "2.17"
