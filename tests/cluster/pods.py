"""Run a pipeline's tasks as pods of a real cluster, in the place of a KFP backend.

KFP's local orchestrator walks the graph; each task becomes a Pod built from the compiled container spec and the Kubernetes
platform spec, as the backend's driver builds it: image, command, resources, GPUs, volumes, secrets, node labels, tolerations,
security. What a backend does beside that (its own artifact store, caching, metadata) is not here: artifacts lie in a folder of
the node.
"""

import json
import re
import secrets
import threading
import time

from google.protobuf import json_format
from kfp.local import docker_task_handler, status, task_dispatcher
from kubernetes import client

PARAMETER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
POLL_S = 0.5
KUBECONFIG_FOLDER = "/kube"
UNSCHEDULABLE_S = 20


class Pods:
    """Runs tasks as pods of one namespace.

    Args:
        api: The official client's connection.
        namespace: Where.
        images: What to run instead of each image that the pipeline names.
        arguments: The pipeline's arguments: platform settings may name them.
        always: Tolerations that every pod needs here.
        kubeconfig: Name of a secret with a key `config`, which pods get as their KUBECONFIG.
    """

    def __init__(self, api, namespace, images, arguments, always, kubeconfig):
        self.core = client.CoreV1Api(api)
        self.api = api
        self.namespace, self.images, self.arguments = namespace, images, arguments
        self.always, self.kubeconfig = always, kubeconfig
        self.history = []
        """(stage, phase, exit code, why it was not scheduled) of each pod."""
        self.specs = {}
        """Pod spec by stage, as the cluster has it."""

    def use(self, graph, monkeypatch):
        """Make the local orchestrator run the tasks of a graph as pods."""
        platform = json_format.MessageToDict(graph.platform_spec)["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        current = threading.local()
        original = task_dispatcher.run_single_task_implementation
        pods = self

        def remember(**task):
            current.container = json_format.MessageToDict(task["executor_spec"].container)
            current.platform = platform.get(task["component_spec"].executor_label, {})
            current.inputs = task["arguments"]
            current.name = task["component_spec"].executor_label.removeprefix("exec-")
            return original(**task)

        class Handler(docker_task_handler.DockerTaskHandler):
            def run(self):
                spec = pods.pod_spec(self, current.container, current.platform, current.inputs)
                return status.Status.SUCCESS if pods.run(current.name, spec) else status.Status.FAILURE

        monkeypatch.setattr(task_dispatcher, "run_single_task_implementation", remember)
        monkeypatch.setattr(docker_task_handler, "DockerTaskHandler", Handler)

    def pod_spec(self, task, container, platform, inputs):
        """The pod of a task."""
        volumes = [
            {"name": "artifacts", "hostPath": {"path": task.pipeline_root}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "kube", "secret": {"secretName": self.kubeconfig, "defaultMode": 0o444}},
        ]
        mounts = [
            {"name": "artifacts", "mountPath": task.pipeline_root},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "kube", "mountPath": KUBECONFIG_FOLDER, "readOnly": True},
        ]
        for directory in platform.get("emptyDirMounts", []):
            source = {key: directory[key] for key in ("medium", "sizeLimit") if key in directory}
            volumes.append({"name": directory["volumeName"], "emptyDir": source})
            mounts.append({"name": directory["volumeName"], "mountPath": directory["mountPath"]})
        for number, claim in enumerate(platform.get("pvcMount", [])):
            name = self._value(claim.get("pvcNameParameter")) or claim["constant"]
            volumes.append({"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": name}})
            mounts.append({"name": f"claim-{number}", "mountPath": claim["mountPath"]})
        environment = [{"name": "KUBECONFIG", "value": f"{KUBECONFIG_FOLDER}/config"}]
        environment += [{"name": name, "value": value} for name, value in task.env_vars.items()]
        for secret in platform.get("secretAsEnv", []):
            name = self._value(secret.get("secretNameParameter")) or secret["secretName"]
            for key in secret["keyToEnv"]:
                source = {"name": name, "key": key["secretKey"], "optional": secret.get("optional", False)}
                environment.append({"name": key["envVar"], "valueFrom": {"secretKeyRef": source}})
        main = {
            "name": "main",
            "image": self.images[container["image"]],
            "imagePullPolicy": "Never",
            "command": task.full_command,
            "env": environment,
            "resources": self._resources(container.get("resources", {}), inputs),
            "volumeMounts": mounts,
            "securityContext": {
                **{key: int(value) if key != "runAsNonRoot" else value for key, value in platform["securityContext"].items()},
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        tolerations = list(self.always)
        for one in platform.get("tolerations", []):
            tolerations += self._value(one["tolerationJson"]) or []
        return {
            "restartPolicy": "Never",
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "nodeSelector": self._value(platform.get("nodeSelector", {}).get("nodeSelectorJson")) or {},
            "tolerations": tolerations,
            "volumes": volumes,
            "containers": [main],
        }

    def run(self, stage, spec):
        """Run a pod to its end; True when it succeeded."""
        name = f"{stage}-{secrets.token_hex(3)}"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"stage": stage}}, "spec": spec}
        self.core.create_namespaced_pod(self.namespace, pod)
        self.specs[stage] = spec
        started = time.monotonic()
        while True:
            found = self.core.read_namespaced_pod(name, self.namespace)
            waiting = [c.message for c in found.status.conditions or [] if c.reason == "Unschedulable"]
            if found.status.phase in ("Succeeded", "Failed"):
                break
            if waiting and time.monotonic() - started > UNSCHEDULABLE_S:
                break
            time.sleep(POLL_S)
        ended = [one.state.terminated for one in found.status.container_statuses or [] if one.state.terminated]
        self.history.append((stage, found.status.phase, ended[0].exit_code if ended else None, waiting))
        if found.status.phase != "Pending":
            print(self.core.read_namespaced_pod_log(name, self.namespace, tail_lines=40))
        print(f"[pod] {self.history[-1]}", flush=True)
        return found.status.phase == "Succeeded"

    def _resources(self, resources, inputs):
        limits, requests = {}, {}
        for target, kind in ((limits, "Limit"), (requests, "Request")):
            for name in ("Cpu", "Memory"):
                if value := resources.get(f"resource{name}{kind}"):
                    target[name.lower()] = self._text(value, inputs)
        if accelerator := resources.get("accelerator"):
            limits[self._text(accelerator["resourceType"], inputs)] = self._text(accelerator["resourceCount"], inputs)
        return {"limits": limits, "requests": requests}

    def _text(self, text, inputs):
        match = PARAMETER.fullmatch(text)
        if not match:
            return text
        value = inputs[match[1]]
        return str(int(value)) if isinstance(value, int | float) else str(value)

    def _value(self, given):
        """A platform setting that is a constant, a pipeline parameter, or an output of the first task."""
        if not given:
            return None
        if "runtimeValue" in given:
            return given["runtimeValue"]["constant"]
        if "taskOutputParameter" in given:
            name = given["taskOutputParameter"]["outputParameterKey"]
        else:
            name = given["componentInputParameter"].removeprefix("pipelinechannel--").removeprefix("validate-")
        if name.endswith("_nodes"):
            return self.arguments["node_selectors"].get(name.removesuffix("_nodes"), {})
        return self.arguments[name]


def kubeconfig_secret(core, namespace, kubeconfig_text):
    """Put a kubeconfig into a secret that pods mount; returns its name."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kubeconfig"}, "stringData": {"config": kubeconfig_text}}
    core.create_namespaced_secret(namespace, body)
    return "kubeconfig"


def kubeconfig_of(account_token, server):
    """A kubeconfig for a token."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "u", "user": {"token": account_token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
