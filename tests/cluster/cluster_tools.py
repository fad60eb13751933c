"""What tests on a cluster share: kubectl, and namespaces that come and go."""

import secrets
import subprocess
import time
from contextlib import contextmanager

import yaml

PREFIX = "globe-test-"


def kubectl(*arguments, given=""):
    """Run kubectl.

    Args:
        *arguments: Its arguments.
        given: What it reads.

    Returns:
        What it prints.

    Raises:
        RuntimeError: It failed; with what it complains about.
    """
    done = subprocess.run(["kubectl", *arguments], input=given, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def fresh_namespace(core):
    """A namespace for the length of a `with` block; what is left in it goes with it, some seconds later.

    Args:
        core: The official client's CoreV1Api.
    """
    from kubernetes import client

    name = f"{PREFIX}{secrets.token_hex(4)}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    wait_until(lambda: core.list_namespaced_service_account(name).items, f"{name} got no service account, so no pods")
    try:
        yield name
    finally:
        core.delete_namespace(name)


@contextmanager
def bound_claim(namespace, folder):
    """The claim globe-store in a namespace for the length of a `with` block; it is a folder of the node."""
    size, modes = {"storage": "1Gi"}, ["ReadWriteMany"]
    volume = {"capacity": size, "accessModes": modes, "storageClassName": namespace, "hostPath": {"path": str(folder)}}
    claim = {"accessModes": modes, "storageClassName": namespace, "resources": {"requests": size}}
    named = {"name": "globe-store", "namespace": namespace}
    objects = [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": named, "spec": claim},
    ]
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(objects))
    bound = ("-n", namespace, "get", "pvc", "globe-store", "-o", "jsonpath={.status.phase}")
    wait_until(lambda: kubectl(*bound) == "Bound", "the claim was not bound")
    try:
        yield
    finally:
        kubectl("delete", "pv", namespace, "--wait=false")


def await_removal(core):
    """Wait until no namespace is on its way out."""

    def gone():
        names = [item.metadata.name for item in core.list_namespace().items if item.metadata.deletion_timestamp]
        return not any(name.startswith(PREFIX) for name in names)

    wait_until(gone, "a namespace of these tests is still there")


def wait_until(true, otherwise, timeout_s=120):
    """Wait for something to become true, at most two minutes."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
