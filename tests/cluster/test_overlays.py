"""What people do with the overlays of manifests/, by the README's own commands: apply, apply again, change, delete.

Namespaces here have neither KFP's accounts nor its settings, so every right that an account has is one that an overlay gave it.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from cluster_tools import fresh_namespace, kubectl
from overlays import OVERLAYS, edited

from components.images import image

pytestmark = pytest.mark.cluster

README = (Path(__file__).parents[2] / "README.md").read_text()
CHANGES = ("create", "patch", "delete")
READS = ("get", "list")
SERVERS = {(verb, kind) for verb in READS + CHANGES for kind in ("deployments.apps", "services")}
SEEING = {(verb, kind) for verb in READS for kind in ("pods", "events")} | {("get", "pods/log")}
OUTCOME = {("create", "workflowtaskresults.argoproj.io"), ("patch", "workflowtaskresults.argoproj.io")}
NAMED = {("get", "configmaps/kfp-launcher"), ("get", "secrets/mlpipeline-minio-artifact")}
ASKED = (
    SERVERS
    | SEEING
    | OUTCOME
    | NAMED
    | {(verb, "secrets") for verb in READS + CHANGES}
    | {("get", "secrets/globe-s3"), ("get", "configmaps"), ("update", "deployments.apps"), ("watch", "pods")}
    | {("create", "pods"), ("delete", "pods"), ("create", "pods/exec"), ("get", "persistentvolumeclaims")}
    | {("delete", "persistentvolumeclaims"), ("create", "roles.rbac.authorization.k8s.io"), ("get", "workflows.argoproj.io")}
)
"""What each account is asked for: all that it needs, and what it must not have."""


@pytest.fixture(params=OVERLAYS)
def overlay(request, namespace, tmp_path):
    """An overlay for the test's namespace; the test takes away what belongs to no namespace."""
    folder = edited(request.param, tmp_path, namespace=namespace, storageClass=namespace, size="1Gi")
    yield folder
    kubectl("delete", "clusterrole,clusterrolebinding", f"globe-nodes-of-{namespace}", "--ignore-not-found")


def line_of_readme(beginning):
    """A command of README, as it stands there."""
    (line,) = [line for line in README.splitlines() if line.startswith(beginning)]
    return line


def typed(beginning, overlay, namespace, folder=None, **environment):
    """What a command of README prints for somebody who has set its two variables."""
    environment = {**os.environ, "overlay": str(overlay), "namespace": namespace, **environment}
    line = line_of_readme(beginning)
    done = subprocess.run(["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def account_of_kfp(overlay):
    return yaml.safe_load((overlay / "settings" / "settings.yaml").read_text())["data"]["account"]


@pytest.fixture
def may(cluster):
    """A function that gives the rights of ASKED that an account has, and whether it may list nodes."""
    from kubernetes import client

    reviews = client.AuthorizationV1Api(cluster)

    def allowed(account, namespace, verb, kind):
        kind, _, rest = kind.partition("/")
        resource, _, group = kind.partition(".")
        part = {"subresource" if resource == "pods" else "name": rest} if rest else {}
        attributes = client.V1ResourceAttributes(namespace=namespace or None, verb=verb, resource=resource, group=group, **part)
        spec = client.V1SubjectAccessReviewSpec(user=account, resource_attributes=attributes)
        return reviews.create_subject_access_review(client.V1SubjectAccessReview(spec=spec)).status.allowed

    def rights(account, namespace):
        name = f"system:serviceaccount:{namespace}:{account}"
        granted = {(verb, kind) for verb, kind in ASKED if allowed(name, namespace, verb, kind)}
        return granted, allowed(name, "", "list", "nodes")

    return rights


def test_one_apply_is_enough_and_another_changes_nothing(overlay, namespace):
    made = typed("kubectl apply -k $overlay ", overlay, namespace)
    assert made.splitlines()
    assert all(line.endswith(" created") for line in made.splitlines())
    again = typed("kubectl apply -k $overlay ", overlay, namespace)
    assert again == made.replace(" created", " unchanged")
    assert typed("kubectl auth can-i", overlay, namespace) == "yes\n"


def test_accounts_may_do_what_a_run_needs_and_nothing_else(overlay, namespace, may):
    kubectl("apply", "-k", str(overlay))
    all_that_a_run_needs = SERVERS | SEEING | OUTCOME | NAMED
    sees_nodes = overlay.name == "standalone"  # else an admin's, see below
    assert may("globe-serving", namespace) == (all_that_a_run_needs, sees_nodes)
    assert may(account_of_kfp(overlay), namespace) == (all_that_a_run_needs, sees_nodes)
    assert may("globe-pipeline", namespace) == (OUTCOME | NAMED, False)
    assert may("default", namespace) == (set(), False)


def test_profiles_side_by_side_do_not_take_each_others_right_to_see_nodes(core, namespace, tmp_path, may):
    with fresh_namespace(core) as other:
        overlays = [
            edited("multi-user", tmp_path / name, namespace=name, storageClass="none") / "nodes" for name in (namespace, other)
        ]
        for folder in overlays:
            kubectl("apply", "-k", str(folder))
        assert may("default-editor", namespace)[1]
        assert may("default-editor", other)[1]
        kubectl("delete", "-k", str(overlays[0]))
        assert not may("default-editor", namespace)[1]
        assert may("default-editor", other)[1]
        kubectl("delete", "-k", str(overlays[1]))


def test_before_the_settings_are_edited_the_claim_is_refused_with_the_file_to_edit(namespace, tmp_path):
    for name in OVERLAYS:
        folder = edited(name, tmp_path, namespace=namespace)
        with pytest.raises(RuntimeError, match=rf'Invalid value: "EDIT ME: manifests/overlays/{name}/settings/settings.yaml"'):
            kubectl("apply", "-k", str(folder / "storage"))
    assert kubectl("-n", namespace, "get", "pvc") == ""


def test_before_the_profile_is_named_nothing_is_made(tmp_path):
    folder = edited("multi-user", tmp_path)
    with pytest.raises(RuntimeError, match='namespaces "EDIT-ME" not found'):
        kubectl("apply", "-k", str(folder))


def test_a_claim_may_be_applied_again_but_neither_moved_to_another_class_nor_made_smaller(overlay, namespace, tmp_path):
    made = typed("kubectl apply -k $overlay/storage", overlay, namespace)
    assert made.strip() in line_of_readme("kubectl apply -k $overlay/storage")
    assert "globe-store   Pending" in typed("kubectl -n $namespace get pvc", overlay, namespace)
    assert typed("kubectl apply -k $overlay/storage", overlay, namespace) == made.replace("created", "unchanged")
    for change in ({"storageClass": "another"}, {"storageClass": namespace, "size": "1Mi"}):
        edited(overlay.name, tmp_path, **change)
        with pytest.raises(RuntimeError, match="spec is immutable after creation"):
            kubectl("apply", "-k", str(overlay / "storage"))


def test_a_secret_is_replaced_by_its_own_command_and_kept_by_everything_else(overlay, namespace, tmp_path):
    def keys():
        return yaml.safe_load(kubectl("-n", namespace, "get", "secret", "globe-teachers", "-o", "yaml"))["data"]

    values = []
    for value in ("first", "second"):
        (tmp_path / "teachers.env").write_text(f"GLOBE_TEACHER_API_KEY={value}\n")
        told = typed("kubectl -n $namespace create secret generic globe-teachers", overlay, namespace, tmp_path)
        assert re.fullmatch(r"secret/globe-teachers (created|configured)\n", told)
        values.append(keys())
    assert values[0] != values[1]
    for part in (overlay, overlay / "storage", overlay):
        kubectl("apply", "-k", str(part))
    with pytest.raises(RuntimeError, match="already exists"):
        kubectl("-n", namespace, "create", "secret", "generic", "globe-teachers")
    typed("kubectl delete -k $overlay ", overlay, namespace)
    assert keys() == values[1]


def test_deleting_the_rights_leaves_the_claim_and_takes_every_right(overlay, namespace):
    for part in (overlay, overlay / "storage"):
        kubectl("apply", "-k", str(part))
    typed("kubectl delete -k $overlay ", overlay, namespace)
    assert kubectl("-n", namespace, "get", "pvc", "-o", "name") == "persistentvolumeclaim/globe-store\n"
    assert kubectl("-n", namespace, "get", "roles,rolebindings", "-o", "name") == ""
    assert kubectl("get", "namespace", namespace, "-o", "jsonpath={.status.phase}") == "Active"
    typed("kubectl delete -k $overlay/storage", overlay, namespace)
    assert kubectl("-n", namespace, "get", "pvc", "-o", "name") == ""


@pytest.mark.parametrize("overlay", ["standalone"], indirect=True)
def test_pictures_come_on_the_claim_and_stages_can_read_them(overlay, namespace, store, node_docker, tolerations, tmp_path):
    known = subprocess.run(["docker", "--host", node_docker, "image", "inspect", image("evaluate")], capture_output=True)
    if known.returncode:
        pytest.skip(f"needs {image('evaluate')} on the node")
    pod_file = tmp_path / "manifests" / "files" / "pod.yaml"
    pod = yaml.safe_load(pod_file.read_text())
    pod["spec"]["tolerations"] = tolerations
    pod_file.write_text(yaml.safe_dump(pod))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"a picture")
    assert typed("kubectl apply -k $overlay/files", overlay, namespace) == "pod/globe-files created\n"
    for command in ("wait", "exec globe-files -- mkdir"):
        said = typed(f"kubectl -n $namespace {command}", overlay, namespace).strip()
        assert said in line_of_readme(f"kubectl -n $namespace {command}")
    typed("kubectl -n $namespace cp ~/photos", overlay, namespace, HOME=str(tmp_path))
    (copied,) = store.glob("sources/photos/*")
    assert copied.read_bytes() == b"a picture"
    assert copied.stat().st_uid == 1001  # whom the stages run as
    assert "photos" in typed("kubectl -n $namespace exec globe-files -- ls", overlay, namespace)
    assert 'pod "globe-files" deleted' in typed("kubectl delete -k $overlay/files", overlay, namespace)
    assert copied.is_file()


def test_no_label_of_the_namespace_is_changed(overlay, namespace):
    def labels():
        return kubectl("get", "namespace", namespace, "-o", "jsonpath={.metadata.labels}{.metadata.annotations}")

    before = labels()
    kubectl("apply", "-k", str(overlay))
    assert labels() == before
