"""KFP by itself and a profile of a multi-user Kubeflow: one file of settings each, and all that a run's profile names."""

import re
from pathlib import Path

import pytest
import yaml
from rendered import MANIFESTS, OVERLAYS, all_of, each_overlay, edited_parts, render, settings_of

from globe.run.cluster import NO_SIDECAR, Cluster
from globe.serving.manifest import base
from pipelines.backends import BACKENDS
from pipelines.catalog import PIPELINES
from pipelines.compile import compiled_text
from pipelines.profile import PROFILES, load_profile

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""What Kubernetes takes for the name of a namespace or a storage class (RFC 1123)."""
ADMISSION = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
WITHOUT_NAMESPACE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "ResourceFlavor", "ClusterQueue", *ADMISSION}
VALUES = {"namespace": "team-a", "account": "somebody", "storageClass": "shared", "size": "7Gi"}


def clusters():
    profiles = {path.stem: load_profile(path.stem).cluster for path in PROFILES.glob("*.yaml")}
    return {"default": Cluster(), **{name: cluster for name, cluster in profiles.items() if cluster}}


def test_there_is_an_overlay_for_kfp_by_itself_and_one_for_a_profile_with_the_accounts_that_kfp_gives_runs_there():
    accounts = {overlay.name: settings_of(overlay)["account"] for overlay in OVERLAYS}
    assert accounts == {"standalone": "pipeline-runner", "multi-user": "default-editor"}
    assert settings_of(MANIFESTS / "overlays" / "standalone")["namespace"] == "kubeflow"


@each_overlay
@pytest.mark.parametrize("profile", clusters())
def test_what_profiles_name_is_what_an_overlay_makes(profile, overlay):
    cluster = clusters()[profile]
    made = {(document["kind"], document["metadata"]["name"]) for document in all_of(overlay)}
    account = cluster.service_account or settings_of(overlay)["account"]
    assert ("ServiceAccount", account) in made | {("ServiceAccount", settings_of(overlay)["account"])}
    assert not cluster.claim or ("PersistentVolumeClaim", cluster.claim) in made
    assert not cluster.queue  # not there until an admin has set up Kueue
    assert cluster.namespace == ""  # the run's own, where all of this is


@each_overlay
def test_the_settings_are_the_only_place_that_names_namespace_account_class_and_size(overlay, tmp_path):
    documents = edited_parts(overlay, tmp_path, **VALUES)
    before = settings_of(overlay)
    text = yaml.safe_dump_all(documents)
    for name in ("namespace", "account", "storageClass"):
        assert before[name] not in text.replace(f"{before[name]}.org", ""), name  # API groups end in kubeflow.org
    for document in documents:
        if document["kind"] in WITHOUT_NAMESPACE:
            assert "namespace" not in document["metadata"]
            assert document["metadata"]["name"].endswith("-of-team-a")  # else two profiles would take it from each other
        else:
            assert document["metadata"]["namespace"] == "team-a", document["kind"]
        subjects = document.get("subjects", [])
        assert {subject["namespace"] for subject in subjects} <= {"team-a"}
        names = {subject["name"] for subject in subjects}
        assert names <= {"globe-cleanup"} or "somebody" in names  # the clean-up job is no run, and has an account of its own
    (claim,) = [document for document in documents if document["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["storageClassName"] == "shared"
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


@each_overlay
def test_what_must_be_decided_first_is_refused_by_kubernetes_until_it_is_and_says_where(overlay):
    settings = settings_of(overlay)
    file = settings["storageClass"].removeprefix("EDIT ME: ")
    assert (MANIFESTS.parent / file).samefile(overlay / "settings" / "settings.yaml")
    undecided = {name for name in ("namespace", "account", "storageClass") if not NAME.fullmatch(settings[name])}
    assert undecided == {"storageClass"} | ({"namespace"} if overlay.name == "multi-user" else set())


@each_overlay
def test_no_overlay_makes_a_namespace_or_changes_the_one_that_it_uses(overlay):
    assert "Namespace" not in {document["kind"] for document in all_of(overlay)}


@each_overlay
def test_deleting_the_rights_leaves_the_claim_and_deleting_the_claim_the_rights(overlay):
    kept = [document["kind"] for document in render(overlay / "storage")]
    assert kept == ["PersistentVolumeClaim"]
    assert "PersistentVolumeClaim" not in {document["kind"] for document in render(overlay)}


def test_no_manifest_holds_a_secret_since_applying_it_again_would_empty_the_one_that_is_there():
    assert "Secret" not in {document["kind"] for overlay in OVERLAYS for document in all_of(overlay)}
    assert not [path for path in MANIFESTS.rglob("*.yaml") if re.search(r"^kind: Secret$", path.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=lambda backend: backend.version)
@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=lambda pipeline: pipeline.name)
def test_no_pod_of_ours_gets_istios_sidecar(pipeline, backend):
    _, platform = yaml.safe_load_all(compiled_text(pipeline, Cluster(), backend))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors
    for name, settings in executors.items():
        assert NO_SIDECAR.items() <= settings["podMetadata"]["labels"].items(), name
    assert NO_SIDECAR.items() <= base()[0]["spec"]["template"]["metadata"]["labels"].items()


def test_a_notebooks_token_is_where_submit_looks_for_it():
    from pipelines.remote.access import SERVICE_ACCOUNT_TOKEN, SERVICE_ACCOUNT_TOKEN_VARIABLE

    (default,) = render(MANIFESTS / "overlays" / "multi-user" / "notebooks")
    (entry,) = default["spec"]["env"]
    assert (entry["name"], entry["value"]) == (SERVICE_ACCOUNT_TOKEN_VARIABLE, SERVICE_ACCOUNT_TOKEN)
    (mount,) = default["spec"]["volumeMounts"]
    (source,) = default["spec"]["volumes"][0]["projected"]["sources"]
    assert str(Path(mount["mountPath"]) / source["serviceAccountToken"]["path"]) == SERVICE_ACCOUNT_TOKEN


def test_the_reference_names_every_secret_and_variable_that_a_run_may_need():
    lines = (MANIFESTS / "README.md").read_text().splitlines()
    keys: dict[str, set[str]] = {}
    for secret in Cluster(signing_secret="globe-signing").every_secret():
        keys.setdefault(secret.name, set()).update(secret.keys)
    for name, expected in keys.items():
        (row,) = [line for line in lines if line.startswith(f"| `{name}` ")]
        assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", row)) == expected


def test_the_claim_applied_without_an_overlay_is_refused_and_not_made_in_whatever_namespace_is_current():
    claim = yaml.safe_load((MANIFESTS / "storage" / "claim.yaml").read_text())
    assert not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", claim["spec"]["storageClassName"])
