"""The real vLLM in a pod, with the demo's tiny model: what the stand-in server cannot show.

Needs GLOBE_SERVE_IMAGE, a serve image that runs on the node, such as localhost/globe-serve:cpu in its engine. For weights on S3
also GLOBE_EVALUATE_IMAGE, and an address of this machine that pods reach.
"""

import asyncio
import os
import socket
from pathlib import Path

import pytest
import yaml
from cluster_tools import kubectl

from globe.asking.answers import located
from globe.asking.call import Caller
from globe.asking.client import served_models
from globe.demo.draw import draw_scene, to_png
from globe.demo.places import all_cities
from globe.errors import GlobeError
from globe.evaluation.recipe import EvaluationRecipe
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, Checkpoint
from globe.recipes.load import load_recipe
from globe.run.cluster import Cluster, Place
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import read_key, stored_key
from globe.serving.servers import serve
from globe.serving.teardown import teardown

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.fixture
def where(namespace, tolerations):
    """A function that makes places for the real server, which needs more room than the stand-in."""
    image = os.environ.get("GLOBE_SERVE_IMAGE")
    if not image:
        pytest.skip("needs GLOBE_SERVE_IMAGE, a serve image that the node has")
    cluster = {"namespace": namespace, "server_image": image, "server_image_pull_policy": "IfNotPresent", "host_network": True}
    cluster |= {"server_cpu": "200m", "server_memory": "6Gi", "server_shm": "512Mi"}
    return lambda store, **settings: Place("run-1", 0, {}, tolerations, Cluster(**cluster | settings), str(store))


def locate(url, place):
    """What the server answers to a drawn picture; a tiny model with random weights knows no place."""

    async def ask():
        key = read_key(stored_key(place.store, place.run, "grpo"), "grpo")
        with pytest.raises(GlobeError, match="401"):
            await served_models(url)
        assert [served.name for served in await served_models(url, key)] == ["grpo"]
        async with Caller(url, "grpo", EvaluationRecipe(max_tokens=8, timeout_s=300), key) as caller:
            return located(await caller.call(to_png(draw_scene(all_cities()[0], seed=0))))

    return asyncio.run(ask())


def start(place, uri):
    recipe = load_recipe(ServingRecipe, "serving", "demo", {"startup_timeout_s": 1200})
    return serve("serving", {"grpo": Checkpoint(str(uri), "", "", "", "", 0)}, recipe, place, needed=True, reason="")["grpo"]


def test_vllm_serves_a_picture_from_a_confined_pod(where, store):
    model = Path(base_model(model=TINY, seed=0, store=store).outcome.outputs["checkpoint"])
    for path in model.iterdir():
        path.chmod(0o644)  # safetensors makes files for their owner only, and this process is not the pod's user
    place = where(store, mount_path=str(store))  # as this process sees it, for it writes the server's key there
    url = start(place, model)
    assert locate(url, place).status != "call_failed"
    teardown(place)


@pytest.fixture
def bucket(namespace, monkeypatch, tmp_path):
    """A bucket of an S3 server on this machine that pods reach, with its keys in the namespace's secret globe-s3."""
    from moto.server import ThreadedMotoServer

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address faces outwards
        address = probe.getsockname()[0]
    server = ThreadedMotoServer(ip_address=address, port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("GLOBE_SCRATCH", str(tmp_path / "scratch"))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "globe-s3"}, "stringData": keys}
    kubectl("-n", namespace, "apply", "-f", "-", given=yaml.safe_dump(secret))
    import boto3

    boto3.client("s3").create_bucket(Bucket="weights")
    yield "s3://weights/store"
    server.stop()


def test_weights_on_s3_are_fetched_by_the_pod_itself(where, bucket):
    from globe.storage import open_store

    image = os.environ.get("GLOBE_EVALUATE_IMAGE")
    if not image:
        pytest.skip("needs GLOBE_EVALUATE_IMAGE, an evaluate image that the node has")
    model = base_model(model=TINY, seed=0, store=open_store(bucket)).outcome.outputs["checkpoint"]
    place = where(bucket, claim="", fetch_image=image)
    assert locate(start(place, model), place).status != "call_failed"
    teardown(place)
