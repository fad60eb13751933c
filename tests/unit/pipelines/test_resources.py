"""The pipelines as custom resources: equal to the packages, within what KFP's CRDs and webhook take."""

import copy
import re
import shutil
import subprocess
from functools import cache

import pytest
import yaml
from kfp import compiler
from rich.console import Console

from pipelines import DEFAULT_PROFILE
from pipelines.backends import BACKENDS, NEWEST
from pipelines.catalog import PIPELINES
from pipelines.compile import COMPILED, cluster_of, compile_all
from pipelines.remote.package import Package
from pipelines.resources import RESOURCES, resources_text

VERSIONS = ["2.17", "2.16", "2.15"]
FIELDS = {"description", "codeSourceURL", "pipelineName", "displayName", "pipelineSpec", "platformSpec", "pipelineSpecURI"}
"""Of a `PipelineVersion` in the CRD of KFP 2.14 to 2.16; 2.17 has two more."""
FIELDS_2_17 = FIELDS | {"versionName", "tags"}
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
LARGEST_BYTES = 1_500_000
"""What etcd takes of one object."""
each = pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in PIPELINES])


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


@cache
def rendered(version):
    """What `kubectl apply -k` sends."""
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl, which renders kustomizations")
    done = subprocess.run(["kubectl", "kustomize", str(RESOURCES / f"kfp-{version}")], capture_output=True, text=True)
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def version_of(version, name):
    found = [d for d in rendered(version) if (d["kind"], d["spec"].get("pipelineName")) == ("PipelineVersion", f"globe-{name}")]
    (document,) = found
    return document


@each
def test_what_kubectl_sends_is_the_package_to_the_last_field(version, name):
    spec, platforms = documents(COMPILED / f"kfp-{version}" / f"{name}.yaml")
    applied = version_of(version, name)["spec"]
    assert (applied["pipelineSpec"], applied["platformSpec"]) == (spec, platforms)


@each
def test_the_name_holds_the_packages_digest_by_which_submit_would_upload_it(version, name):
    digest = Package.read(COMPILED / f"kfp-{version}" / f"{name}.yaml").digest
    document = version_of(version, name)
    assert document["metadata"]["name"] == f"globe-{name}-{digest}"
    assert document["spec"]["displayName"] == digest


@each
def test_every_field_is_one_of_the_versions_own_crd(version, name):
    assert version_of(version, name)["spec"].keys() <= (FIELDS_2_17 if version == "2.17" else FIELDS)


@pytest.mark.parametrize("version", VERSIONS)
def test_names_labels_and_sizes_are_within_kubernetes_and_the_webhooks_limits(version):
    for document in rendered(version):
        metadata = document["metadata"]
        assert SUBDOMAIN.fullmatch(metadata["name"])
        assert len(metadata["name"]) <= 253
        assert all(LABEL.fullmatch(value) and len(value) <= 63 for value in metadata["labels"].values())
        assert len(yaml.safe_dump(document)) * 2 < LARGEST_BYTES  # once more for the record of who set which field
        if document["kind"] == "PipelineVersion":  # common.ValidatePipelineName
            assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", document["spec"]["pipelineSpec"]["pipelineInfo"]["name"])


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_belongs_to_a_pipeline_that_is_applied_before_it(version):
    kinds = [(document["kind"], document["metadata"]["name"]) for document in rendered(version)]
    for place, document in enumerate(rendered(version)):
        if document["kind"] == "PipelineVersion":
            assert kinds.index(("Pipeline", document["spec"]["pipelineName"])) < place
    assert sorted(name for kind, name in kinds if kind == "Pipeline") == sorted(f"globe-{name}" for name in PIPELINES)


@pytest.mark.parametrize(("version", "name"), [("2.17", "training"), ("2.16", "evaluation"), ("2.15", "curation")])
def test_it_is_what_kfps_own_compiler_writes_but_for_what_we_call_it(tmp_path, version, name):
    pipeline = PIPELINES[name]
    ours = version_of(version, name)
    options = compiler.KubernetesManifestOptions(
        pipeline_version_name=ours["metadata"]["name"],
        pipeline_version_display_name=ours["spec"]["displayName"],
        namespace="kubeflow",
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        pipeline.build(cluster_of(DEFAULT_PROFILE), BACKENDS[version]),
        str(tmp_path / "theirs.yaml"),
        kubernetes_manifest_options=options,
        kubernetes_manifest_format=True,
    )
    whole, theirs = documents(tmp_path / "theirs.yaml")
    (our_whole,) = [d for d in rendered(version) if (d["kind"], d["metadata"]["name"]) == ("Pipeline", f"globe-{name}")]
    assert without_ours(ours) == without_ours(theirs)
    assert without_ours(our_whole) == without_ours(whole)


def without_ours(document):
    """A resource without the fields in which ours say more."""
    document = copy.deepcopy(document)
    document["metadata"].pop("labels", None)
    for field in ("versionName", "tags", "description"):
        document["spec"].pop(field, None)
    return document


def test_another_package_is_another_version_and_the_same_one_the_same():
    package = (COMPILED / "kfp-2.16" / "curation.yaml").read_text()
    once = resources_text(PIPELINES["curation"], BACKENDS["2.16"], package)
    assert once == resources_text(PIPELINES["curation"], BACKENDS["2.16"], package)
    other = resources_text(PIPELINES["curation"], BACKENDS["2.16"], package.replace("IfNotPresent", "Always", 1))
    names = [list(yaml.safe_load_all(text))[1]["metadata"]["name"] for text in (once, other)]
    assert names[0] != names[1]


def test_there_is_a_folder_for_each_backend_that_reads_them_and_the_newest_is_the_default():
    assert sorted(path.name for path in RESOURCES.iterdir() if path.is_dir()) == sorted(f"kfp-{v}" for v in VERSIONS)
    assert yaml.safe_load((RESOURCES / "kustomization.yaml").read_text())["resources"] == [NEWEST.folder]
    assert {backend.version for backend in BACKENDS.values() if backend.number >= (2, 14)} == set(VERSIONS)


def test_compile_writes_them_finds_them_up_to_date_and_sees_a_change(tmp_path):
    def compiled(check):
        told = {"resources": tmp_path / "resources", "backends": [BACKENDS["2.16"], BACKENDS["2.5"]]}
        return compile_all(DEFAULT_PROFILE, tmp_path, check=check, release=False, console=Console(quiet=True), **told)

    assert compiled(check=False)
    assert compiled(check=True)
    assert not (tmp_path / "resources" / "kfp-2.5").exists()
    for name in ("training.yaml", "kustomization.yaml"):
        written, is_committed = tmp_path / "resources" / "kfp-2.16" / name, RESOURCES / "kfp-2.16" / name
        assert written.read_text() == is_committed.read_text()
        before = written.read_text()
        written.write_text(before.replace("kind: ", "kind:  ", 1))
        assert not compiled(check=True)
        written.write_text(before)
