"""Released models: a name that stays while the pods behind it change, and what happens when the new ones do not come up."""

import copy
import json

import pytest
from typer.testing import CliRunner

from globe.cli.app import app
from globe.errors import GlobeError, InputError
from globe.serving.kube import connect
from globe.serving.release import Releases, Wanted, deployment_name, pod_labels, released_labels

LABELS = {"app.kubernetes.io/name": "globe-serving", **released_labels("where")}
BAD = {"waiting": {"reason": "InvalidImageName", "message": "cannot parse"}}


def wanted(version, replicas=None, **settings):
    spec = {
        "selector": {"matchLabels": dict(LABELS)},
        "template": {
            "metadata": {"labels": dict(LABELS)},
            "spec": {"containers": [{"name": "vllm", "image": f"serve:{version}"}]},
        },
    }
    metadata = {"labels": dict(LABELS), "annotations": {"globe.dev/checkpoint": f"/mnt/globe/{version}"}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    services = tuple(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": dict(LABELS)}, "spec": {"ports": [8080]}}
        for name in ("where", "where-peers")
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "where", "labels": dict(LABELS)}}
    return Wanted("where", version, deployment, services, (account,), replicas, 30, settings.get("schedule_timeout_s", 30))


@pytest.fixture
def told():
    return []


@pytest.fixture
def releases(api, told):
    return Releases(connect(), told.append)


@pytest.fixture
def failing(api, statuses):
    """A function: from now on the pods of this version do not come up."""
    pod_status, ready = statuses

    def fail(version):
        image = f"serve:{version}"
        api.pods_of = lambda now: [
            pod_status(BAD) if now["spec"]["template"]["spec"]["containers"][0]["image"] == image else ready()
        ]

    return fail


def selections(api):
    return {name: service["spec"]["selector"] for name, service in api.objects["services"].items()}


def replicas(api):
    return {name: deployment["spec"]["replicas"] for name, deployment in api.objects["deployments"].items()}


def served(api):
    return copy.deepcopy(api.objects)


def test_a_first_release_gets_its_name_when_its_pods_have_proven_an_answer(api, releases, statuses):
    pod_status, ready = statuses
    while_waiting = []

    def pods(deployment):
        while_waiting.append(dict(api.objects["services"]))
        return [ready() if len(while_waiting) > 5 else pod_status({"running": {}})]

    api.pods_of = pods
    assert releases.release(wanted("v1", 2))
    assert while_waiting[:5] == [{}] * 5
    assert replicas(api) == {"where-v1": 2}
    assert selections(api) == {name: pod_labels("where", "v1") for name in ("where", "where-peers")}


def test_the_same_release_again_changes_nothing(api, releases):
    releases.release(wanted("v1", 2))
    before = served(api)
    assert not releases.release(wanted("v1", 2))
    assert not releases.release(wanted("v1"))  # as many as there are
    assert api.objects == before


def test_another_number_of_replicas_makes_no_new_release(api, releases):
    releases.release(wanted("v1", 1))
    template = copy.deepcopy(api.objects["deployments"]["where-v1"]["spec"]["template"])
    assert releases.release(wanted("v1", 3))
    assert replicas(api) == {"where-v1": 3}
    assert api.objects["deployments"]["where-v1"]["spec"]["template"] == template


def test_the_name_moves_when_the_new_pods_are_up_and_the_old_ones_end_only_after_that(api, releases):
    releases.release(wanted("v1", 2))
    api.requests.clear()
    assert releases.release(wanted("v2"))
    assert selections(api) == {name: pod_labels("where", "v2") for name in ("where", "where-peers")}
    assert replicas(api) == {"where-v1": 0, "where-v2": 2}  # as many as before; the old one is what a rollback goes to
    changes = [(name, query["fieldManager"]) for method, _, name, query, _ in api.requests if method == "PATCH"]
    switch = [changes.index((name, "globe-pipelines-release")) for name in ("where-peers", "where")]
    assert switch[0] < switch[1] < changes.index(("where-v1", "globe-pipelines-replicas"))


def test_only_the_last_release_is_kept(api, releases):
    for version in ("v1", "v2", "v3"):
        releases.release(wanted(version))
    assert replicas(api) == {"where-v2": 0, "where-v3": 1}


def test_a_release_that_does_not_come_up_is_removed_and_the_old_one_goes_on(api, releases, failing):
    releases.release(wanted("v1"))
    before = served(api)
    failing("v2")
    with pytest.raises(
        GlobeError, match=r"release v2 of where does not start: InvalidImageName: image .* cannot be had: cannot parse"
    ):
        releases.release(wanted("v2"))
    assert api.objects == before


def test_a_first_release_that_does_not_come_up_leaves_nothing(api, releases, failing):
    failing("v1")
    with pytest.raises(GlobeError, match="InvalidImageName"):
        releases.release(wanted("v1"))
    assert not any(api.objects.values())


def test_a_former_release_that_does_not_come_up_again_is_still_kept(api, releases, failing):
    releases.release(wanted("v1"))
    releases.release(wanted("v2"))
    before = served(api)
    failing("v1")
    for again in (lambda: releases.release(wanted("v1")), lambda: releases.roll_back("where", (30, 30))):
        with pytest.raises(GlobeError, match="release v1 of where does not start"):
            again()
        assert {name: one["spec"] for name, one in api.objects["deployments"].items()} == {
            name: one["spec"] for name, one in before["deployments"].items()
        }
        assert api.objects["services"] == before["services"]


def test_no_room_for_both_is_told_and_costs_the_old_one_nothing(api, releases, statuses):
    _, ready = statuses
    releases.release(wanted("v1"))
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient nvidia.com/gpu."}
    no_node = {"phase": "Pending", "conditions": [condition]}
    api.pods_of = lambda now: [ready() if now["metadata"]["name"] == "where-v1" else no_node]
    with pytest.raises(GlobeError, match=r"got no node within 0 s: Unschedulable: Insufficient nvidia\.com/gpu"):
        releases.release(wanted("v2", schedule_timeout_s=0.1))
    assert replicas(api) == {"where-v1": 1}


def test_a_rollback_serves_the_release_before_and_keeps_the_present_one(api, releases):
    releases.release(wanted("v1"))
    releases.release(wanted("v2", 2))
    assert releases.roll_back("where", (30, 30)) == "v1"
    assert selections(api)["where"] == pod_labels("where", "v1")
    assert replicas(api) == {"where-v1": 2, "where-v2": 0}
    assert releases.roll_back("where", (30, 30)) == "v2"


def test_without_a_former_release_there_is_no_rollback(api, releases):
    with pytest.raises(InputError, match="no released model of that name"):
        releases.roll_back("where", (30, 30))
    releases.release(wanted("v1"))
    with pytest.raises(InputError, match="no former release is kept"):
        releases.roll_back("where", (30, 30))


def test_in_place_the_same_deployment_gets_the_new_pods_and_the_name_stays(api, releases, told):
    releases.release(wanted("v1"))
    assert releases.release(wanted("v2"), in_place=True)
    assert replicas(api) == {"where-v1": 1}
    assert [row.version for row in releases.rows()] == ["v2"]
    assert api.objects["deployments"]["where-v1"]["spec"]["template"]["spec"]["containers"][0]["image"] == "serve:v2"
    assert any("requests fail until the new one is ready" in text for text in told)
    assert not releases.release(wanted("v2"))


def test_in_place_a_release_that_does_not_come_up_gives_the_former_pods_back(api, releases, failing):
    releases.release(wanted("v1"))
    template = copy.deepcopy(api.objects["deployments"]["where-v1"]["spec"]["template"])
    failing("v2")
    with pytest.raises(GlobeError, match="InvalidImageName"):
        releases.release(wanted("v2"), in_place=True)
    assert api.objects["deployments"]["where-v1"]["spec"]["template"] == template
    assert [row.version for row in releases.rows()] == ["v1"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_more_replicas_that_do_not_come_up_leave_as_many_as_there_were(api, releases, statuses, version):
    pod_status, ready = statuses
    releases.release(wanted("v1"))
    api.pods_of = lambda now: [pod_status(BAD) if now["spec"]["replicas"] == 3 else ready()]
    with pytest.raises(GlobeError, match="InvalidImageName"):
        releases.release(wanted(version, 3), in_place=True)
    assert replicas(api) == {"where-v1": 1}


def test_after_a_release_in_place_the_former_one_can_be_released_beside_it(api, releases):
    releases.release(wanted("v1"))
    releases.release(wanted("v2"), in_place=True)
    releases.release(wanted("v1"))
    assert replicas(api) == {"where-v1": 0, "where-v1-2": 1}
    assert [(row.version, row.kept) for row in releases.rows()] == [("v1", "v2")]


def test_what_a_killed_call_left_is_no_release_to_go_back_to_and_goes_with_the_next_one(api, releases):
    releases.release(wanted("v1"))
    releases.kube.apply(wanted("v2").at("v2"))
    assert [row.kept for row in releases.rows()] == [""]
    releases.release(wanted("v3"))
    assert replicas(api) == {"where-v1": 0, "where-v3": 1}


def test_a_promotion_by_somebody_else_meanwhile_stays(api, releases, statuses):
    _, ready = statuses
    releases.release(wanted("v1"))

    def meanwhile(deployment):
        if deployment["metadata"]["name"] == "where-v2":
            api.objects["services"]["where"]["spec"]["selector"] = pod_labels("where", "theirs")
        return [ready()]

    api.pods_of = meanwhile
    with pytest.raises(GlobeError, match="somebody has promoted release theirs meanwhile"):
        releases.release(wanted("v2"))
    assert replicas(api) == {"where-v1": 1}


@pytest.mark.parametrize("first", [False, True])
def test_two_calls_for_the_same_release_at_once_leave_it_served(api, releases, statuses, first):
    _, ready = statuses
    if not first:
        releases.release(wanted("v1"))
    others: list[bool] = []

    def meanwhile(deployment):
        if not others and deployment["metadata"]["name"] == "where-v2":
            others.append(True)
            Releases(connect(), lambda _: None).release(wanted("v2"))
        return [ready()]

    api.pods_of = meanwhile
    releases.release(wanted("v2"))
    assert others
    assert selections(api) == {name: pod_labels("where", "v2") for name in ("where", "where-peers")}
    assert replicas(api) == ({"where-v2": 1} if first else {"where-v1": 0, "where-v2": 1})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_first_release_that_fails_takes_nothing_from_one_that_another_call_has_promoted_meanwhile(
    api, releases, statuses, version
):
    pod_status, ready = statuses
    others: list[bool] = []

    def meanwhile(deployment):
        if not others:
            others.append(True)
            api.pods_of = lambda _: [ready()]
            Releases(connect(), lambda _: None).release(wanted(version))
            api.pods_of = lambda now: [pod_status(BAD) if now["metadata"]["name"] == "where-v1" else ready()]
        return [pod_status(BAD)]

    api.pods_of = meanwhile
    with pytest.raises(GlobeError):
        releases.release(wanted("v1"))
    assert others
    assert selections(api) == {name: pod_labels("where", version) for name in ("where", "where-peers")}
    assert f"where-{version}" in replicas(api)
    assert "where" in api.objects["serviceaccounts"]


def test_a_kept_release_is_still_kept_when_somebody_else_has_promoted_another_meanwhile(api, releases, statuses):
    _, ready = statuses
    releases.release(wanted("v1"))
    releases.release(wanted("v2"))

    def meanwhile(deployment):
        if deployment["metadata"]["name"] == "where-v1" and deployment["spec"]["replicas"]:
            api.objects["services"]["where"]["spec"]["selector"] = pod_labels("where", "theirs")
        return [ready()]

    api.pods_of = meanwhile
    with pytest.raises(GlobeError, match="somebody has promoted release theirs meanwhile"):
        releases.release(wanted("v1"))
    assert replicas(api) == {"where-v1": 0, "where-v2": 1}


def test_a_service_that_was_not_made_here_is_never_taken(api, releases):
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "where", "labels": {}},
        "spec": {"selector": {"app": "x"}},
    }
    releases.kube.apply(theirs)
    before = served(api)
    with pytest.raises(InputError, match="service where in from-context is not one of"):
        releases.release(wanted("v1"))
    assert api.objects == before


def test_an_account_that_was_not_made_here_is_never_taken(api, releases):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "where", "namespace": "from-context"}}
    api.objects["serviceaccounts"] = {"where": copy.deepcopy(account)}
    with pytest.raises(InputError, match="serviceaccount where in from-context is not one of `globe deploy`"):
        releases.release(wanted("v1"))
    assert api.objects["serviceaccounts"] == {"where": account}
    assert not any(method != "GET" for method, *_ in api.requests)


def test_the_peers_find_each_other_again_once_their_service_was_deleted(api, releases):
    releases.release(wanted("v1", 2))
    before = selections(api)
    del api.objects["services"]["where-peers"]
    releases.release(wanted("v1", 2))
    assert selections(api) == before


@pytest.mark.parametrize("asked", [1, 2])
def test_a_release_that_is_not_wanted_any_more_moves_nothing_and_leaves_nothing(api, releases, asked):
    releases.release(wanted("v1", 2))
    before, times = (selections(api), replicas(api)), []

    def still():
        times.append(1)
        if len(times) == asked:
            raise GlobeError("another one is")

    with pytest.raises(GlobeError, match="another one is"):
        releases.release(wanted("v2"), still=still)
    assert (selections(api), replicas(api)) == before


def test_removing_a_name_removes_what_was_made_for_it_and_nothing_else(api, releases):
    releases.release(wanted("v1"))
    releases.release(wanted("v2"))
    other = wanted("v1").at("x")
    other["metadata"] = {"name": "other", "labels": LABELS | {"globe.dev/released": "other"}}
    other["spec"]["template"]["metadata"]["labels"]["globe.dev/released"] = "other"
    releases.kube.apply(other)
    removed = releases.remove("where")
    assert sorted(removed) == sorted(
        ["Service where", "Service where-peers", "ServiceAccount where", "Deployment where-v1", "Deployment where-v2"]
    )
    assert list(api.objects["deployments"]) == ["other"]
    assert api.objects["services"] == {}
    with pytest.raises(InputError, match="no released model of that name is in namespace from-context"):
        releases.remove("where")


def test_the_list_says_what_each_name_serves(api, releases):
    assert releases.rows() == []
    releases.release(wanted("v1", 2))
    releases.release(wanted("v2"))
    (row,) = releases.rows()
    assert (row.name, row.version, row.checkpoint, row.replicas, row.ready, row.kept) == (
        "where",
        "v2",
        "/mnt/globe/v2",
        2,
        2,
        "v1",
    )


def test_a_deployments_name_holds_name_and_slot():
    assert deployment_name("where", "v1") == "where-v1"


def test_the_command_releases_lists_rolls_back_and_removes(api):
    def run(*arguments):
        done = CliRunner().invoke(app, ["deploy", *arguments, "--json"], catch_exceptions=False)
        return json.loads(done.stdout)

    options = ["--name", "where", "--image", "registry.example/globe-serve:1", "--recipe", "demo", "--gpus", "0"]
    first = run("/mnt/globe/a", *options)
    assert (first["changed"], first["url"]) == (True, "http://where.from-context.svc.cluster.local:8080/v1")
    assert not run("/mnt/globe/a", *options)["changed"]
    second = run("/mnt/globe/b", *options)
    (row,) = run("--list")
    assert (row["checkpoint"], row["version"], row["kept"]) == ("/mnt/globe/b", second["version"], first["version"])
    assert run("--rollback", "where") == {"name": "where", "version": first["version"]}
    assert "Service where" in run("--remove", "where")["removed"]
    assert run("--list") == []
    assert not any(api.objects.values())
