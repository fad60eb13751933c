"""What runs may do in the cluster: all that KFP and our stages ask for, and nothing else."""

import re
import shutil

import yaml
from kubernetes import client
from rendered import MANIFESTS, each_overlay, everything, of_kind, parts, render, settings_of

from globe.serving.kube import RESOURCES
from globe.serving.release import KINDS

OTHERS = {"Workflow", "TrainJob", *KINDS} - {"Deployment", "Service"}
"""What the clean-up looks for beyond servers, and what only a released model is made of."""
KFP_ASKS_FOR = {
    # argo-workflows 3.5.14, 3.7.3, 4.0.5: workflow/executor/taskresult.go, upsertTaskResult; docs/workflow-rbac.md
    ("argoproj.io", "workflowtaskresults", ""): {"create", "patch"},
    # kubeflow/pipelines 2.5.0, 2.15.0, 2.16.0, 2.17.0: backend/src/v2/config/env.go, FromConfigMap
    ("", "configmaps", "kfp-launcher"): {"get"},
    # backend/src/v2/objectstore/object_store.go, createS3BucketSession, with config/env.go, getDefaultMinioSessionInfo
    ("", "secrets", "mlpipeline-minio-artifact"): {"get"},
}
"""By API group, resource and name (empty for any), what the driver, the launcher and Argo's executor do with a run's account."""


def rules():
    return [rule for document in everything() if document["kind"] in ("Role", "ClusterRole") for rule in document["rules"]]


def rights(*roles):
    """What roles grant, in the form of KFP_ASKS_FOR."""
    granted = {}
    for rule in (rule for role in roles for rule in role["rules"]):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    granted.setdefault((group, resource, name), set()).update(rule["verbs"])
    return granted


def role(name):
    (found,) = [role for role in of_kind(MANIFESTS / "rbac", "Role") if role["metadata"]["name"] == name]
    return found


def roles_of(overlay, account):
    """Names of the roles that an overlay binds to an account."""
    documents = [document for folder in parts(overlay) for document in render(folder)]
    bindings = [document for document in documents if document["kind"] == "RoleBinding"]
    return {binding["roleRef"]["name"] for binding in bindings if account in {subject["name"] for subject in binding["subjects"]}}


def test_what_kfp_does_with_a_runs_account_is_allowed_and_no_more_than_that():
    assert rights(role("globe-pipeline"), role("globe-object-store")) == KFP_ASKS_FOR


def test_what_serving_asks_the_cluster_for_is_allowed_and_no_more_than_that():
    granted = rights(role("globe-serving"))
    asked = {(found.get("group", ""), found["name"], "") for kind, found in RESOURCES.items() if kind not in OTHERS}
    assert granted.keys() == asked | {("", "pods/log", "")}
    changed = {resource for (_, resource, _), verbs in granted.items() if verbs - {"get", "list"}}
    assert changed == {"deployments", "services"}
    assert granted["apps", "deployments", ""] == granted["", "services", ""] == {"get", "list", "create", "patch", "delete"}


def test_with_the_part_release_a_promotion_may_do_with_each_kind_what_it_asks_for_and_nothing_else():
    granted = rights(*of_kind(MANIFESTS / "release", "Role"))
    asked = {(RESOURCES[kind].get("group", ""), RESOURCES[kind]["name"], "") for kind in KINDS}
    assert granted.keys() == asked - rights(role("globe-serving")).keys()
    assert all(verbs == {"get", "create", "patch", "delete"} for verbs in granted.values())


def test_who_submits_a_trainjob_may_do_what_the_sdk_asks_for_and_no_more():
    """kubeflow 0.5.0: trainer/backends/kubernetes/backend.py."""
    granted = rights(*(one for one in of_kind(MANIFESTS / "trainer", "Role") if one["metadata"]["name"] == "globe-trainer"))
    assert granted == {
        ("trainer.kubeflow.org", "trainjobs", ""): {"get", "list", "create", "delete"},
        ("trainer.kubeflow.org", "trainingruntimes", ""): {"get"},
        ("", "pods", ""): {"get", "list"},
        ("", "events", ""): {"get", "list"},
        ("", "pods/log", ""): {"get"},
    }


@each_overlay
def test_our_account_and_the_one_that_kfp_gives_every_run_may_do_all_that_a_run_needs(overlay):
    needed = {"globe-pipeline", "globe-object-store", "globe-serving", "globe-trainer", "globe-release"}
    assert roles_of(overlay, "globe-serving") == roles_of(overlay, settings_of(overlay)["account"]) == needed
    assert roles_of(overlay, "globe-pipeline") == needed - {"globe-serving", "globe-trainer", "globe-release"}


@each_overlay
def test_bindings_name_roles_of_the_same_folder_and_accounts_that_are_made_or_kfps_own(overlay):
    made = {(document["kind"], document["metadata"]["name"]) for folder in parts(overlay) for document in render(folder)} | {
        ("ServiceAccount", settings_of(overlay)["account"])
    }
    for folder in parts(overlay):
        roles = {(document["kind"], document["metadata"]["name"]) for document in render(folder)}
        for binding in (document for document in render(folder) if document["kind"].endswith("RoleBinding")):
            assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
            for subject in binding["subjects"]:
                assert (subject["kind"], subject["name"]) in made


def test_no_role_grants_everything_of_anything():
    assert rules()
    for rule in rules():
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


def test_no_role_reaches_pods_from_within_its_own_rights_or_a_secret_but_the_object_stores():
    resources = {resource for rule in rules() for resource in rule["resources"]}
    assert not resources & {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
    assert not {group for rule in rules() for group in rule["apiGroups"]} & {"rbac.authorization.k8s.io"}
    assert not {verb for rule in rules() for verb in rule["verbs"]} & {"escalate", "bind", "impersonate", "deletecollection"}
    for rule in rules():
        if "secrets" in rule["resources"]:
            assert rule == {
                "apiGroups": [""],
                "resources": ["secrets"],
                "resourceNames": ["mlpipeline-minio-artifact"],
                "verbs": ["get"],
            }


def test_beyond_the_namespace_only_nodes_may_be_listed():
    for document in everything():
        if document["kind"] == "ClusterRole":
            assert document["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    assert hasattr(client.CoreV1Api, "list_node")  # what the first task calls


def test_in_a_profile_nothing_that_needs_an_admin_is_in_the_same_folder_as_the_rest():
    """A profile's owner may not make what belongs to no namespace, and would be refused in the middle of it."""
    for folder in parts(MANIFESTS / "overlays" / "multi-user"):
        beyond = {document["kind"].startswith(("Cluster", "ValidatingAdmission")) for document in render(folder)}
        assert beyond == ({True, False} if folder.name == "admission" else {True} if folder.name == "nodes" else {False}), folder


# Servers in a namespace of their own

SERVERS = MANIFESTS / "servers"


def bound(folder):
    """What each account of a folder may do where: namespace of the right, the account, its namespace, the rights."""
    documents = render(folder)
    roles = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in documents if one["kind"] == "Role"}
    return [
        (
            one["metadata"]["namespace"],
            f"{subject['namespace']}:{subject['name']}",
            rights(roles[one["metadata"]["namespace"], one["roleRef"]["name"]]),
        )
        for one in documents
        if one["kind"] == "RoleBinding"
        for subject in one["subjects"]
    ]


def test_in_a_namespace_of_their_own_the_account_of_runs_may_do_with_servers_what_it_may_in_its_own():
    ((where, who, may),) = bound(SERVERS)
    assert (where, who) == ("globe-servers", "kubeflow:globe-serving")
    assert may == rights(role("globe-serving"))
    ((where, who, may),) = bound(SERVERS / "release")
    assert (where, who) == ("globe-servers", "kubeflow:globe-serving")
    assert may == rights(*of_kind(MANIFESTS / "release", "Role"))


def test_the_job_that_cleans_up_there_sees_the_runs_where_they_are_and_has_no_more_rights_than_beside_them():
    found = {(where, who): may for where, who, may in bound(SERVERS / "cleanup")}
    assert set(found) == {(where, "globe-servers:globe-cleanup") for where in ("globe-servers", "kubeflow")}
    beside = rights(*of_kind(MANIFESTS / "cleanup", "Role"))
    workflows = {key: beside[key] for key in beside if key[0] == "argoproj.io"}
    assert found["kubeflow", "globe-servers:globe-cleanup"] == workflows
    assert found["globe-servers", "globe-servers:globe-cleanup"] == {key: beside[key] for key in beside if key not in workflows}
    (job,) = of_kind(SERVERS / "cleanup", "CronJob")
    assert job["metadata"]["namespace"] == "globe-servers"


def test_two_settings_say_where_servers_and_runs_are(tmp_path):
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    file = tmp_path / "manifests" / "servers" / "settings" / "settings.yaml"
    settings = yaml.safe_load(file.read_text())
    assert settings["data"].keys() == {"namespace", "runs"}
    settings["data"] = {"namespace": "there", "runs": "team-a"}
    file.write_text(yaml.safe_dump(settings))
    for part in ("", "cleanup", "admission", "release"):
        text = yaml.safe_dump_all(render(tmp_path / "manifests" / "servers" / part))
        text = text.replace("  name: globe-servers\n", "")  # a network policy's own name
        assert "globe-servers-of" not in text.replace("globe-servers-of-there", "")
        assert not re.search(r"\bkubeflow\b(?!\.org)|: globe-servers$", text, re.MULTILINE), part
    for part in ("", "release"):
        found = bound(tmp_path / "manifests" / "servers" / part)
        assert {(where, who) for where, who, _ in found} == {("there", "team-a:globe-serving")}
