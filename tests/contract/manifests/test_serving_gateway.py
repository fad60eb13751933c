"""A server behind its gateway: nobody goes round it, who is restarted when, and that no answer is cut short when a pod ends."""

import json
import subprocess
import sys

import pytest
import yaml
from rendered import BY_HAND, SERVING, named, of_kind, pod_of, render, text_of

from components.images import image
from globe.gateway.settings import GatewaySettings
from globe.recipes.load import load_recipe
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.guard import KEY_FILE_VARIABLE
from globe.serving.manifest import ENGINE_END_S, PORT
from globe.serving.recipe import ServingRecipe
from globe.serving.templates import released

OVERLAYS = sorted(path.parent for path in SERVING.glob("overlays/*/kustomization.yaml"))
ENGINE, GATEWAY = ("vllm", "kserve-container"), ("gateway", "transformer-container")
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


def pod(overlay):
    (found,) = [pod for document in render(overlay) if (pod := pod_of(document))]
    return found


def spec(overlay):
    return pod(overlay)["spec"]


def containers(overlay):
    both = spec(overlay)["containers"]
    return named(both, *ENGINE), named(both, *GATEWAY)


def environment(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def gateways_settings(overlay):
    """The gateway's settings as its pod has them, read by the gateway's own rules."""
    told = environment(containers(overlay)[1])
    prefix = "GLOBE_GATEWAY_"
    return GatewaySettings.model_validate(
        {name.removeprefix(prefix).lower(): told[name] for name in told if name.startswith(prefix)}
    )


def sorted_lists(value):
    """An object with its lists of named things in one order, which kustomize does not keep."""
    if isinstance(value, dict):
        return {key: sorted_lists(one) for key, one in value.items()}
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return sorted((sorted_lists(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    return value


def test_code_and_kustomize_make_the_same_of_the_same_files():
    made = {(one["kind"], one["metadata"]["name"]): sorted_lists(one) for one in released()}
    named_by_whoever_fills_it_in = f"image: {image('serve')}\n", "image: globe-serve\n"
    text = text_of(SERVING / "base").replace(*named_by_whoever_fills_it_in)
    rendered = {(one["kind"], one["metadata"]["name"]): sorted_lists(one) for one in yaml.safe_load_all(text)}
    assert made == rendered


# Nobody goes round it


@each_overlay
def test_the_engine_listens_inside_of_its_pod_and_the_gateways_two_ports_are_the_only_open_ones(overlay):
    engine, gateway = containers(overlay)
    assert engine["args"][engine["args"].index("--host") + 1] == "127.0.0.1"
    assert "ports" not in engine
    assert {port["name"]: port["containerPort"] for port in gateway["ports"]} == {"http": 8080, "metrics": 8081}
    settings = gateways_settings(overlay)
    assert settings.engine_url == f"http://127.0.0.1:{engine['args'][engine['args'].index('--port') + 1]}"
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)


@each_overlay
def test_no_service_leads_to_anything_but_the_gateway(overlay):
    services = of_kind(overlay, "Service")
    assert services
    assert {port["targetPort"] for service in services for port in service["spec"]["ports"]} == {"http"}
    (peers,) = [service for service in services if service["spec"].get("clusterIP") == "None"]
    assert not peers["spec"].get("publishNotReadyAddresses")
    assert gateways_settings(overlay).peers == f"{peers['metadata']['name']}:{peers['spec']['ports'][0]['port']}"


@each_overlay
def test_engine_and_gateway_share_a_key_that_is_in_memory_only(overlay):
    key = named(spec(overlay)["initContainers"], "key")
    volumes = {volume["name"]: volume for volume in spec(overlay)["volumes"]}
    for container in containers(overlay):
        path = environment(container)[KEY_FILE_VARIABLE]
        (mount,) = [mount for mount in container["volumeMounts"] if path.startswith(f"{mount['mountPath']}/")]
        assert mount["readOnly"] is True
        assert volumes[mount["name"]]["emptyDir"]["medium"] == "Memory"
        assert path in key["command"][-1]


@pytest.mark.parametrize("given", ["", "0123456789abcdef" * 4])
def test_the_key_is_the_secrets_if_there_is_one_and_else_one_that_nobody_has(given, tmp_path):
    program = named(spec(BY_HAND)["initContainers"], "key")["command"][-1].replace("/globe-key", str(tmp_path))
    made = set()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, env={"GLOBE_SERVER_KEY": given} if given else {})
        made.add((tmp_path / "server-key").read_text())
        assert (tmp_path / "server-key").stat().st_mode & 0o777 == 0o600
    assert made == {given} if given else len(made) == 2
    assert {len(key) for key in made} == {64}


@each_overlay
def test_without_keys_nobody_starts_a_server_that_answers_anybody_but_for_ci(overlay):
    settings = gateways_settings(overlay)
    secrets = [volume["secret"] for volume in spec(overlay)["volumes"] if "secret" in volume]
    if overlay.name == "ci":
        assert settings.keys_file is None
        assert not secrets
    else:
        (mount,) = [mount for mount in containers(overlay)[1]["volumeMounts"] if mount["name"] == "keys"]
        assert str(settings.keys_file.parent) == mount["mountPath"]
        assert secrets == [{"secretName": "globe-keys"}]  # not optional: without it the pod does not start


# What it is told


@each_overlay
def test_engine_and_gateway_agree_on_the_model_and_where_it_lies(overlay):
    engine, _ = containers(overlay)
    settings = gateways_settings(overlay)
    assert [str(settings.checkpoint), settings.model] == [engine["args"][0], engine["args"][2]]


@each_overlay
def test_the_engine_gets_the_arguments_and_environment_of_a_serving_recipe(overlay):
    engine, _ = containers(overlay)
    recipe = load_recipe(ServingRecipe, "serving", "demo" if overlay.name == "ci" else "gpu")
    expected = vllm_arguments(engine["args"][0], engine["args"][2], "127.0.0.1", PORT, recipe)
    gpus = ["--tensor-parallel-size", "1"] if "--tensor-parallel-size" in engine["args"] else []
    assert sorted(engine["args"]) == sorted([*expected, *gpus])
    own = {KEY_FILE_VARIABLE, "STORAGE_URI"}
    assert {name: value for name, value in environment(engine).items() if name not in own} == vllm_environment(recipe)
    assert engine["command"] == ["python3", "-m", "globe.serving.engine", "--", "vllm", "serve"]
    wants_gpu = "nvidia.com/gpu" in engine["resources"]["limits"]
    assert wants_gpu == (overlay.name != "ci")


# Who is restarted when, and how a pod ends


@each_overlay
def test_the_kubelet_asks_the_gateway_about_both_and_restarts_the_one_that_is_at_fault(overlay):
    engine, gateway = containers(overlay)
    paths = {name: {probe: c[probe]["httpGet"]["path"] for probe in c if probe.endswith("Probe")} for name, c in
             (("engine", engine), ("gateway", gateway))}  # fmt: skip
    assert paths == {
        "engine": {"startupProbe": "/ready", "livenessProbe": "/live"},
        "gateway": {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"},
    }
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    for container in (engine, gateway):
        for probe in (container[probe]["httpGet"] for probe in container if probe.endswith("Probe")):
            assert ports.get(probe["port"], probe["port"]) == 8080


@each_overlay
def test_an_engine_outlives_the_gateways_last_request_and_the_grace_is_the_sum_of_what_comes_before_a_kill(overlay):
    engine, gateway = containers(overlay)
    settings = gateways_settings(overlay)
    command = engine["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:3] == ["python3", "-m", "globe.serving.outlive"]
    assert [int(port) for port in command[3:5]] == [settings.port, settings.metrics_port]
    held_s = float(command[5])
    assert held_s >= settings.alone_s + settings.drain_s + settings.shutdown_s + 5
    recipe_s = int(engine["args"][engine["args"].index("--shutdown-timeout") + 1])
    assert spec(overlay)["terminationGracePeriodSeconds"] >= held_s + recipe_s + ENGINE_END_S
    assert "lifecycle" not in gateway  # it drains by itself when it is told to end


@each_overlay
def test_a_new_pod_has_to_prove_an_answer_before_an_old_one_goes(overlay):
    (document,) = [document for document in render(overlay) if pod_of(document)]
    strategy = (
        document["spec"]["strategy"] if "strategy" in document["spec"] else document["spec"]["predictor"]["deploymentStrategy"]
    )
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@each_overlay
def test_what_keeps_a_pod_from_starting_is_told_by_kubectl_describe(overlay):
    assert {one.get("terminationMessagePolicy") for one in spec(overlay)["initContainers"]} == {"FallbackToLogsOnError"}


def test_kserves_pod_is_the_bases_but_for_what_kserve_does_itself():
    ours, theirs = spec(SERVING / "base"), spec(SERVING / "overlays" / "kserve")
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - {"containers", "initContainers", "volumes", "topologySpreadConstraints"}:
        assert ours[name] == theirs[name], name
    for names in (ENGINE, GATEWAY):
        one, other = named(ours["containers"], *names), named(theirs["containers"], *names)
        for key in one.keys() - {"name", "args", "env", "volumeMounts"}:
            assert one[key] == other[key], key
        assert {mount["name"] for mount in one["volumeMounts"]} == {mount["name"] for mount in other["volumeMounts"]} | {"store"}
