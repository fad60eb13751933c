"""The job that removes servers of runs that are over: what it starts exists, and it may do little and change nothing itself.

That its account may do exactly what the clean-up asks for is tried by tests/unit/serving/test_cleanup.py; that it renders and is
valid, by tests/contract/manifests.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.images import image

MANIFESTS = Path(__file__).parents[2] / "manifests"
pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which renders kustomizations")


@pytest.fixture(scope="module")
def rendered() -> dict[str, dict]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(MANIFESTS / "overlays" / "standalone" / "cleanup")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


@pytest.fixture(scope="module")
def pod(rendered) -> dict:
    return rendered["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]


def test_it_runs_a_command_that_there_is_from_the_image_of_the_pins(pod):
    (container,) = pod["spec"]["containers"]
    assert container["image"] == image("evaluate")
    program, *arguments = container["command"]
    assert program == "globe"
    done = subprocess.run([sys.executable, "-m", "globe.cli", *arguments, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--orphans" in arguments


def test_it_meets_the_restricted_level_which_the_namespace_demands(pod):
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1001,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume.keys() - {"name"} for volume in spec["volumes"]] == [{"emptyDir"}]


def test_its_account_is_its_own_and_bound_to_its_own_role(rendered, pod):
    account = rendered["ServiceAccount"]["metadata"]
    assert pod["spec"]["serviceAccountName"] == account["name"] not in {"globe-serving", "globe-pipeline", "default"}
    assert rendered["RoleBinding"]["roleRef"]["name"] == rendered["Role"]["metadata"]["name"]
    (subject,) = rendered["RoleBinding"]["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["name"], account["namespace"])


def test_two_of_it_never_run_at_once_and_one_that_hangs_ends_before_the_next(rendered):
    spec = rendered["CronJob"]["spec"]
    minutes = int(spec["schedule"].split()[0].removeprefix("*/"))
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < minutes * 60


def test_it_says_what_grants_the_one_right_that_is_needed_where_runs_are():
    """What is granted there, tests/contract/manifests/test_rights.py says."""
    assert "manifests/servers/cleanup" in (MANIFESTS / "cleanup" / "account.yaml").read_text()
    assert (MANIFESTS / "servers" / "cleanup" / "kustomization.yaml").is_file()
