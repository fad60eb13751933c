"""`globe publish --oci` into a real registry (Debian's docker-registry), and back."""

import hashlib
import json
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request

import pytest
import yaml
from model_folders import model, publish
from typer.testing import CliRunner

from globe.cli.app import app
from globe.models.checkpoints import read_intact

REGISTRY = shutil.which("docker-registry")


@pytest.fixture
def registry(tmp_path):
    """Address of a registry of this test's own."""
    if not REGISTRY:
        pytest.skip("needs a registry: apt-get install docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": host},
    }
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(settings))
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([REGISTRY, "serve", str(tmp_path / "registry.yaml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://{host}/v2/", timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (tmp_path / "registry.log").read_text()
                time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait()


def fetch(url, kind="*/*"):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": kind})) as answer:
        return answer.read(), answer.headers


def test_a_checkpoint_comes_back_from_a_registry_as_it_was_and_again_nothing_is_sent(registry, tmp_path):
    made = publish(model(tmp_path / "m", b"weights" * 5_000_000))
    command = ["publish", str(tmp_path / "m"), "--oci", f"{registry}/models/globe:1", "--json"]
    first, again = (json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout) for _ in range(2))
    assert first["image"] == again["image"] == f"{registry}/models/globe@{first['digest']}"
    assert first["sent_bytes"] == first["bytes"] > 35_000_000
    assert again["sent_bytes"] == 0

    base = f"http://{registry}/v2/models/globe"
    manifest, headers = fetch(f"{base}/manifests/{first['digest']}", "application/vnd.oci.image.manifest.v1+json")
    assert headers["Docker-Content-Digest"] == first["digest"]
    assert fetch(f"{base}/manifests/1", "application/vnd.oci.image.manifest.v1+json")[0] == manifest
    for layer in json.loads(manifest)["layers"]:
        data, _ = fetch(f"{base}/blobs/{layer['digest']}")
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
        (tmp_path / "layer.tar").write_bytes(data)
        with tarfile.open(tmp_path / "layer.tar") as archive:
            archive.extractall(tmp_path / "root", filter="data")
    assert read_intact(tmp_path / "root" / "models").digest == made.digest


def test_a_damaged_checkpoint_reaches_no_registry(registry, tmp_path):
    publish(model(tmp_path / "m"))
    (tmp_path / "m" / "model.safetensors").write_bytes(b"Weights")
    result = CliRunner().invoke(app, ["publish", str(tmp_path / "m"), "--oci", f"{registry}/models/globe:1"])
    assert "is not the one in the checkpoint's manifest; nothing was published" in str(result.exception)
    assert json.loads(fetch(f"http://{registry}/v2/_catalog")[0]) == {"repositories": []}
