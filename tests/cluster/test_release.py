"""Released models on a real cluster: no request is lost when the model behind a name changes, or a pod goes.

The gateway is the real one. vLLM is stood in for (stand_in_server.py): it answers its model's folder, and ends as vLLM was
measured to end. The cluster needs a network for pods, reached from here, and GLOBE_PODS_SEE, an address of this machine that
pods reach: a name server for the peers' Services runs there, on port 53, for the length of a test.
"""

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
import tiny_image
import yaml
from cluster_tools import kubectl, wait_until
from peers_dns import name_server

from globe.errors import GlobeError
from globe.evaluation.released import serve_promoted
from globe.models.checkpoints import Checkpoint
from globe.run.cluster import Cluster, Place
from globe.serving.kube import connect
from globe.serving.recipe import ServingRecipe
from globe.serving.release import Releases
from globe.serving.release_manifest import Asked, wanted

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

IMAGE = "localhost/globe-gateway-stand-in:dev"
SERVER = {"server_image": IMAGE, "server_image_pull_policy": "Never", "server_cpu": "20m", "server_memory": "256Mi"}
CLIENTS = 20
QUESTION = {"model": "where", "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 8}


@pytest.fixture(scope="module")
def image(node_docker):
    tiny_image.load(IMAGE, node_docker, gateway=True)


@pytest.fixture
def releases(namespace, image):
    pods_see = os.environ.get("GLOBE_PODS_SEE")
    if not pods_see:
        pytest.skip("needs GLOBE_PODS_SEE, an address of this machine that pods reach")
    with name_server(pods_see, namespace):
        yield Releases(connect(namespace), print)


@pytest.fixture
def release(releases, store):
    """A function that releases the model of a folder, which it makes."""

    def make(folder="first", replicas=None, *, made=True, startup_timeout_s=240, in_place=False, **behaviour):
        if made:
            write_model(store / folder, **behaviour)
        cluster = Cluster(**SERVER)
        recipe = ServingRecipe(startup_timeout_s=startup_timeout_s, shutdown_timeout_s=10)
        asked = Asked("where", replicas, without_keys=True, schedule_timeout_s=30)
        new = wanted(asked, Checkpoint(f"/mnt/globe/{folder}", "", "", "", "", 0), recipe, Place(cluster=cluster))
        return releases.release(small(new), in_place=in_place, wait=True)

    return make


def write_model(folder, **behaviour):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "behaviour.json").write_text(json.dumps({"takes_s": 1.0} | behaviour))


def small(new):
    """A release that fits on a laptop's node, and asks this test for names."""
    pod = new.deployment["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "512Mi"}}
    search = ["svc.cluster.local"]
    pod |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": [os.environ["GLOBE_PODS_SEE"]], "searches": search}}
    return replace(new)


def listed(namespace, kind):
    return json.loads(kubectl("-n", namespace, "get", kind, "-o", "json"))["items"]


def versions(namespace):
    kinds = ("deployments", "services", "pods", "serviceaccounts", "networkpolicies")
    return {
        (kind, one["metadata"]["name"]): one["metadata"]["resourceVersion"] for kind in kinds for one in listed(namespace, kind)
    }


def address(namespace):
    (service,) = [one for one in listed(namespace, "services") if one["metadata"]["name"] == "where"]
    return f"http://{service['spec']['clusterIP']}:8080"


class NobodyThere(Exception):
    """Something has answered that is no gateway."""


@dataclass
class Load:
    """Clients that keep their connections and ask without a pause."""

    answers: Counter = field(default_factory=Counter)
    """How often each answer came: the model's folder, or the status with whether it says when to come again."""
    lost: list[str] = field(default_factory=list)
    """Requests without an answer."""
    over: bool = False

    async def ask(self, url):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:
            while not self.over:
                try:
                    async with session.post(f"{url}/v1/chat/completions", json=QUESTION) as answer:
                        if "x-request-id" not in answer.headers:  # for a moment a Service without pods leads out of the cluster
                            raise NobodyThere
                        document = await answer.json()
                        if answer.status == 200:
                            self.answers[document["choices"][0]["message"]["content"]] += 1
                        else:
                            self.answers[answer.status, "Retry-After" in answer.headers] += 1
                            await asyncio.sleep(0.2)
                except (aiohttp.ClientConnectorError, NobodyThere):  # no pod is ready: the request was never sent
                    self.answers["no connection"] += 1
                    await asyncio.sleep(0.2)
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.lost.append(f"{type(error).__name__} {error}")

    def during(self, url, change, after_s=3.0):
        """Ask with 20 clients before, while and after something changes."""

        async def run():
            clients = [asyncio.create_task(self.ask(url)) for _ in range(CLIENTS)]
            async with asyncio.timeout(60):
                while sum(self.answers.values()) < 2 * CLIENTS:
                    await asyncio.sleep(0.2)
            await asyncio.to_thread(change)
            await asyncio.sleep(after_s)
            self.over = True
            await asyncio.gather(*clients)

        asyncio.run(run())
        print(dict(self.answers), self.lost[:5])
        return self


def await_ready(namespace, replicas):
    def ready():
        (active,) = [one for one in listed(namespace, "deployments") if one["spec"]["replicas"]]
        status = active["status"]
        return status.get("availableReplicas", 0) == status.get("replicas", 0) == replicas

    wait_until(ready, "the pods did not come back")
    time.sleep(1)


def delete_a_pod(namespace, replicas):
    pod = next(one for one in listed(namespace, "pods") if "deletionTimestamp" not in one["metadata"])
    kubectl("-n", namespace, "delete", "pod", pod["metadata"]["name"], "--wait=true")
    await_ready(namespace, replicas)


def test_the_same_release_again_changes_nothing(namespace, release):
    assert release(replicas=2)
    before = versions(namespace)
    assert not release(replicas=2)
    assert not release()
    assert versions(namespace) == before


def test_a_change_of_checkpoint_under_20_clients_costs_no_request_and_neither_does_the_way_back(namespace, release, releases):
    release("first", 2)
    url = address(namespace)
    load = Load().during(url, lambda: release("second"))
    assert load.lost == []
    assert set(load.answers) == {"first", "second"}
    load = Load().during(url, lambda: releases.roll_back("where", (240, 30), wait=True))
    assert load.lost == []
    assert set(load.answers) == {"first", "second"}
    assert sorted(one["spec"]["replicas"] for one in listed(namespace, "deployments")) == [0, 2]


def test_a_promotion_moves_the_name_under_20_clients_without_a_lost_request_and_again_changes_nothing(namespace, release, store):
    release("first", 1)
    write_model(store / "second")
    policy = Checkpoint("/mnt/globe/second", "", "", "", "", 0)
    named = {"name": "where", "without_keys": True}
    place = Place("run-1", cluster=Cluster(**SERVER, namespace=namespace, release=named, server_schedule_timeout_s=30))
    load = Load().during(address(namespace), lambda: serve_promoted(policy, ServingRecipe(), place))
    assert load.lost == []
    assert set(load.answers) == {"first", "second"}
    before = versions(namespace)
    assert serve_promoted(policy, ServingRecipe(), place).endswith("as before")
    assert versions(namespace) == before


def test_the_account_of_runs_with_the_part_release_may_do_all_that_a_promotion_takes(namespace, release, store, acting_as):
    for folder in ("first", "second"):
        write_model(store / folder)
    release("first", 1)
    settings = {"namespace": namespace, "server_schedule_timeout_s": 30, **SERVER}
    named = Place("run-1", cluster=Cluster(**settings, release={"name": "where", "without_keys": True}))
    other = Place("run-1", cluster=Cluster(**settings, release={"name": "other", "without_keys": True}))
    gone = Checkpoint("/mnt/globe/gone", "", "", "", "", 0)
    before = set(versions(namespace))
    admin = os.environ["KUBECONFIG"]
    acting_as("globe-serving")
    Releases(connect(namespace), print).require_free("where")
    with pytest.raises(GlobeError, match="checkpoint ended with exit code 2"):
        serve_promoted(gone, ServingRecipe(), other)  # a first one: all that it made is deleted again
    said = serve_promoted(Checkpoint("/mnt/globe/second", "", "", "", "", 0), ServingRecipe(), named)
    os.environ["KUBECONFIG"] = admin
    assert said.startswith("where serves release ")
    assert before - set(versions(namespace)) <= {one for one in before if one[0] == "pods"}
    assert not [name for _, name in versions(namespace) if name.startswith("other")]


def test_a_deleted_pod_of_two_under_20_clients_costs_no_request(namespace, release):
    release("first", 2)
    load = Load().during(address(namespace), lambda: delete_a_pod(namespace, 2))
    assert load.lost == []
    assert set(load.answers) == {"first"}


def test_the_only_pod_that_is_deleted_answers_who_has_a_connection_until_the_next_one_is_ready(namespace, release):
    # The new pod has 120 s for that. After that nobody is there to say 503: a Service without pods refuses connections.
    release("first", 1)
    load = Load().during(address(namespace), lambda: delete_a_pod(namespace, 1))
    assert load.lost == []
    assert set(load.answers) == {"first"}


@pytest.mark.parametrize(
    ("folder", "behaviour", "reason"),
    [
        ("gone", {"made": False}, "checkpoint ended with exit code 2"),
        ("broken", {"exit": 3, "say": "ValueError: no such architecture"}, "ValueError: no such architecture"),
        ("deaf", {"deaf": True, "startup_timeout_s": 15}, "was not ready within 15 s"),
    ],
)
def test_a_release_that_fails_is_removed_its_reason_told_and_the_old_one_goes_on(namespace, release, folder, behaviour, reason):
    release("first", 1)
    before = versions(namespace)
    failed = []

    def fail():
        started = time.monotonic()
        with pytest.raises(GlobeError) as caught:
            release(folder, **behaviour)
        failed.append((time.monotonic() - started, str(caught.value)))

    load = Load().during(address(namespace), fail, after_s=0.5)
    ((seconds, text),) = failed
    print(f"{seconds:.1f} s: {text}")
    assert reason in text
    assert (folder != "gone") or (f"/mnt/globe/{folder}" in text and seconds < 20)
    assert load.lost == []
    assert set(load.answers) == {"first"}
    wait_until(lambda: set(versions(namespace)) == set(before), "something is left of it")
    assert versions(namespace)["services", "where"] == before["services", "where"]


def test_in_place_two_pods_are_replaced_one_after_the_other_without_a_lost_request(namespace, release):
    release("first", 2)
    load = Load().during(address(namespace), lambda: release("second", in_place=True))
    assert load.lost == []
    assert set(load.answers) == {"first", "second"}
    assert len(listed(namespace, "deployments")) == 1


def test_removing_it_leaves_what_is_not_its_own(namespace, release, releases):
    other = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": {"ports": [{"port": 80}]}}
    kubectl("-n", namespace, "apply", "-f", "-", given=yaml.safe_dump(other))
    before = set(versions(namespace))
    release("first", 1)
    release("second")
    releases.remove("where")
    wait_until(lambda: not listed(namespace, "pods"), "a pod is still there")
    assert set(versions(namespace)) == before
