"""`submit` and the versions of KFP: each server gets the package that it takes, and what has to be said about it is said."""

import json

import kfp_server_api as api
import pytest
import yaml

from pipelines import DEFAULT_PROFILE
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, cluster_of, compiled_text
from pipelines.remote.package import Package

from .kfp_api_double import KfpApiDouble
from .kfp_backend import KfpBackend

KUBEFLOW = {"2.5.0": "2.5", "2.15.0": "2.15", "2.16.0": "2.16", "2.17.0": "2.17"}
SILENT = {"2.5.0": "2.5", "2.15.0": "2.15"}
"""Releases whose own images say "unknown"."""


def committed(version: str, name: str) -> tuple[dict, dict]:
    spec, platform = yaml.safe_load_all((COMPILED / f"kfp-{version}" / f"{name}.yaml").read_text())
    return spec, platform


@pytest.mark.parametrize(("release", "version"), KUBEFLOW.items())
@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("ui", [False, True], ids=["api server", "through the UI"])
def test_each_server_gets_the_package_that_was_compiled_for_it_and_understands_all_of_it(command, release, version, name, ui):
    given = ["--backend", version] if release in SILENT else []
    with KfpApiDouble(KfpBackend(version=release, ui=ui)) as server:
        ended = command(server, *given, pipeline=name, settings="")
    assert ended.code == 0, ended.err
    (sent,) = server.received("POST /runs")
    spec, platform = committed(version, name)
    assert sent.body["pipeline_spec"] == {"pipeline_spec": spec, "platform_spec": platform}
    (run,) = server.backend.runs.values()
    assert run["platform"] == platform  # None if the server skipped it


def test_a_package_for_a_newer_backend_would_lose_its_platform_spec_on_an_older_server():
    """What the double does that the tests above rely on."""
    for release in ("2.5.0", "2.15.0", "2.16.0"):
        assert KfpBackend(version=release).understood(committed("2.17", "training")[1]) is None
    assert KfpBackend(version="2.15.0").understood(committed("2.16", "training")[1]) is None
    assert KfpBackend(version="2.5.0").understood(committed("2.15", "training")[1]) is None


def test_an_upload_is_the_package_byte_for_byte(command):
    with KfpApiDouble(KfpBackend(version="2.16.1")) as server:
        assert command(server, "--upload", pipeline="curation", settings="").code == 0
    (sent,) = server.received("POST /pipelines/upload_version")
    assert sent.body == (COMPILED / "kfp-2.16" / "curation.yaml").read_text()
    assert sent.body == compiled_text(PIPELINES["curation"], cluster_of(DEFAULT_PROFILE), BACKENDS["2.16"])


@pytest.mark.parametrize(("release", "hint"), [("2.5.0", "Kubeflow 1.10 has 2.5"), ("2.15.0", "Kubeflow 1.11 has 2.15")])
@pytest.mark.parametrize("ui", [False, True])
def test_a_server_that_does_not_say_its_version_needs_the_users_word(command, release, hint, ui):
    with KfpApiDouble(KfpBackend(version=release, ui=ui)) as server:
        ended = command(server, pipeline="evaluation", settings="")
        assert ended.code == 2
        assert not server.received("POST")
        assert "--backend VERSION, one of 2.17, 2.16, 2.15, 2.5" in ended.err
        assert hint in ended.err
        assert command(server, "--backend", SILENT[release], pipeline="evaluation", settings="").code == 0


@pytest.mark.parametrize("tag", ["unknown", "", "master", "master-55ec846", "sha256:0123", "latest"])
def test_a_tag_that_is_no_number_is_no_version(command, tag):
    with KfpApiDouble(KfpBackend(tag=tag)) as server:
        ended = command(server, pipeline="evaluation", settings="")
    assert ended.code == 2
    assert "--backend VERSION" in ended.err
    assert not server.received("POST")


@pytest.mark.parametrize(
    ("tag", "version"),
    [("2.16.0-rc.1", "2.16"), ("v2.15.2", "2.15"), ("2.5.0-vendor.3", "2.5"), ("2.14.4", "2.5"), ("2.18.0", "2.17")],
)
def test_a_vendors_suffix_and_releases_between_and_after_ours_find_the_package_that_fits(command, tag, version):
    with KfpApiDouble(KfpBackend(tag=tag)) as server:
        ended = command(server, pipeline="evaluation", settings="")
    assert ended.code == 0
    assert ended.lines[0].startswith(f"package for KFP {version} (the server says {tag})")
    assert server.received("POST /runs")[0].body["pipeline_spec"]["pipeline_spec"] == committed(version, "evaluation")[0]


@pytest.mark.parametrize("pipeline", ["training", str(COMPILED / "kfp-2.5" / "training.yaml")])
@pytest.mark.parametrize(("tag", "given"), [("2.3.0", []), ("unknown", ["--backend", "2.3"]), ("1.8.22", [])])
def test_a_server_that_is_too_old_gets_nothing_and_the_user_is_told_what_is_needed(command, pipeline, tag, given):
    with KfpApiDouble(KfpBackend(version="2.3.0", tag=tag)) as server:
        ended = command(server, *given, pipeline=pipeline, settings="")
    assert ended.code == 2
    assert "GLOBE needs 2.5 or newer; there are packages for 2.17, 2.16, 2.15, 2.5" in ended.err
    assert not server.received("POST")


def test_the_users_word_wins_over_the_servers_and_the_line_says_both(command):
    with KfpApiDouble(KfpBackend(tag="4.2.0")) as server:
        refused = command(server, pipeline="evaluation", settings="")
        ended = command(server, "--backend", "2.15", pipeline="evaluation", settings="")
    assert refused.code == 2
    assert "if this is a vendor's own number, name KFP's with --backend VERSION" in refused.err
    assert ended.code == 0
    assert ended.lines[0].startswith("package for KFP 2.15 (--backend 2.15; the server says 4.2.0); this backend cannot ")


@pytest.mark.parametrize("tag", ["unknown", "2.5.0"])
@pytest.mark.parametrize("given", ["2.17", "2.16", "2.15"])
@pytest.mark.parametrize("ui", [False, True])
def test_the_users_word_does_not_win_over_what_no_such_server_answers(command, tag, given, ui):
    """The 2.5 server would skip the claim and the secrets of a newer package, and start the run."""
    with KfpApiDouble(KfpBackend(version="2.5.0", tag=tag, ui=ui)) as server:
        ended = command(server, "--backend", given, pipeline="evaluation", settings="")
    assert ended.code == 2
    assert f"--backend {given}: " in ended.err
    assert "it answers as a KFP before 2.14 does" in ended.err
    assert not server.received("POST")


@pytest.mark.parametrize(("release", "version"), KUBEFLOW.items())
def test_what_a_backend_cannot_do_is_said_in_the_one_line(command, release, version):
    with KfpApiDouble(KfpBackend(version=release, tag=release)) as server:
        line = command(server, pipeline="evaluation", settings="").lines[0]
    lacks = [lack.split(":")[0] for lack in BACKENDS[version].lacks]
    assert all(lack in line for lack in lacks)
    assert ("cannot" in line) == bool(lacks)


def test_a_compiled_file_for_a_newer_backend_is_refused_with_what_to_give_instead(command):
    with KfpApiDouble(KfpBackend(version="2.16.0")) as server:
        ended = command(server, pipeline=COMPILED / "kfp-2.17" / "training.yaml", settings="")
    assert ended.code == 2
    assert "made for KFP 2.17, and the server is 2.16.0" in ended.err
    assert "give training, or pipelines/compiled/kfp-2.16/training.yaml" in ended.err
    assert not server.received("POST")


@pytest.mark.parametrize("head", [True, False], ids=["as it is", "written again by another tool"])
def test_a_compiled_file_for_an_older_backend_is_taken_as_it_is(command, tmp_path, head):
    package = COMPILED / "kfp-2.5" / "training.yaml"
    if not head:
        documents = list(yaml.safe_load_all(package.read_text()))
        package = tmp_path / "mine.yaml"
        package.write_text(yaml.safe_dump_all(documents, indent=8))
    with KfpApiDouble(KfpBackend(version="2.17.0")) as server:
        ended = command(server, pipeline=package, settings="")
    assert ended.code == 0
    assert ended.lines[0].startswith("package for KFP 2.5 (the server says 2.17.0)")
    assert server.received("POST /runs")[0].body["pipeline_spec"]["pipeline_spec"] == committed("2.5", "training")[0]


def test_a_file_of_ours_needs_a_version_too_and_somebody_elses_is_taken_for_what_it_is(command, package):
    with KfpApiDouble(KfpBackend(version="2.15.0")) as server:
        refused = command(server, pipeline=COMPILED / "kfp-2.15" / "training.yaml", settings="")
        ended = command(server)
    assert refused.code == 2
    assert "--backend" in refused.err
    assert ended.code == 0
    assert ended.lines[0].startswith(f"package {package}; the server does not say its version")


def test_a_ui_whose_api_server_is_away_is_no_answer(command):
    class Away(KfpBackend):
        def health(self):
            return {"apiServerReady": False, "frontendTagName": "2.17.0"}

    with KfpApiDouble(Away()) as server:
        ended = command(server, pipeline="evaluation", settings="")
    assert ended.code == 3
    assert "the API server behind it does not" in ended.err
    assert not server.received("POST")


def test_many_users_are_noticed_through_the_ui_too(command):
    with KfpApiDouble(KfpBackend(multi_user=True, ui=True)) as server:
        assert command(server, pipeline="evaluation", settings="").code == 2
    assert not server.received("POST")


def test_a_version_that_was_applied_as_a_resource_is_found_and_not_uploaded_again(command):
    digest = Package.read(COMPILED / "kfp-2.17" / "curation.yaml").digest
    there = api.V2beta1Pipeline(pipeline_id="p", display_name="globe-curation")
    version = api.V2beta1PipelineVersion(
        pipeline_id="p", pipeline_version_id="v", display_name=digest, pipeline_spec=committed("2.17", "curation")[0]
    )
    with KfpApiDouble(KfpBackend(pipelines=[there], versions=[version])) as server:
        assert command(server, "--upload", pipeline="curation", settings="").code == 0
    assert not server.received("POST /pipelines")
    reference = {"pipeline_id": "p", "pipeline_version_id": "v"}
    assert server.received("POST /runs")[0].body["pipeline_version_reference"] == reference


# Where it comes from


def test_a_run_says_which_revision_and_which_package_it_is_of(command):
    with KfpApiDouble() as server:
        command(server, pipeline="evaluation", settings="")
    description = server.received("POST /runs")[0].body["description"]
    assert "for KFP 2.17" in description
    assert len(description.split("package ")[1].split()[0]) == 16


@pytest.mark.parametrize(("release", "tagged"), [("2.17.0", True), ("2.16.0", False)])
def test_an_uploaded_version_is_tagged_where_the_server_knows_tags(command, release, tagged):
    with KfpApiDouble(KfpBackend(version=release)) as server:
        assert command(server, "--upload", pipeline="evaluation", settings="").code == 0
    query = server.received("POST /pipelines/upload_version")[0].query
    assert ("tags" in query) == tagged
    if tagged:
        tags = json.loads(query["tags"])
        assert (tags["package"], tags["kfp"]) == (query["name"], "2.17")
        assert all(len(text) <= 63 and "." not in name for name, text in tags.items())


def result_of(tmp_path, verdict="promote"):
    metrics = {"n": 9, "accuracy": {"25": 50.0}, "ci95": {"25": [40.0, 60.0]}, "median_km": 30.0, "parsed_percent": 100.0}
    gate = {"verdict": verdict, "decision": verdict, "reasons": ["better"]}
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"run": "0000-1", "data": "d" * 64, "metrics": metrics, "gate": gate}))
    return path


@pytest.mark.parametrize("verdict", ["promote", "reject"])
def test_verdict_and_data_of_the_latest_run_become_tags_of_its_version_beside_those_that_are_there(command, tmp_path, verdict):
    given = ("--upload", "--wait", "--result", str(result_of(tmp_path, verdict)))
    with KfpApiDouble() as server:
        ended = command(server, *given)
    assert ended.code == (0 if verdict == "promote" else 1)
    (version,) = server.backend.versions
    assert version.tags["package"] == version.display_name
    assert {name: version.tags[name] for name in ("last-run", "last-verdict")} == {"last-run": "0000-1", "last-verdict": verdict}
    assert version.tags["last-data"] == "d" * 63  # a tag has 63 characters


def test_a_server_that_refuses_a_tag_changes_nothing_about_how_the_run_ended(command, tmp_path):
    from .kfp_api_double import Fault

    given = ("--upload", "--wait", "--result", str(result_of(tmp_path)))
    with KfpApiDouble(faults=[Fault("PATCH", 403)]) as server:
        ended = command(server, *given)
    assert ended.code == 0
    assert any(line.startswith("no tags") for line in ended.lines)
