"""What an API server makes of a ValidatingAdmissionPolicy: its conditions, variables and validations, by Google's own CEL.

An expression that cannot be decided is an error here; an API server refuses then, too (`failurePolicy: Fail`).
"""

import copy
from functools import cache

import kubernetes_validate
import pytest
from rendered import MANIFESTS, OVERLAYS, render

from globe.serving.kube import RESOURCES

cel = pytest.importorskip("cel_expr_python.cel", reason="needs cel-expr-python, which evaluates the policies' expressions")
from cel_expr_python.ext import ext_strings  # noqa: E402

NEWEST = kubernetes_validate.latest_version()
FOLDERS = [*(overlay / "admission" for overlay in OVERLAYS), MANIFESTS / "servers" / "admission"]
NAMES = ("object", "oldObject", "params", "request", "variables")


@cache
def compiled(expression):
    env = cel.NewEnv(variables=dict.fromkeys(NAMES, cel.Type.DYN), extensions=[ext_strings.ExtStrings()])
    return env.compile(expression)


def value_of(expression, **known):
    """Value of an expression.

    Raises:
        AssertionError: It cannot be decided.
    """
    found = compiled(expression).eval(data=dict.fromkeys(NAMES) | known)
    assert found.type() != cel.Type.ERROR, f"{found.plain_value()}: {expression}"
    return found.plain_value()


def applies(policy, kind, operation, username):
    """Whether a policy looks at what an account does with a kind of object."""
    rules = policy["spec"]["matchConstraints"]["resourceRules"]
    plural = RESOURCES[kind]["name"]
    if not any(plural in rule["resources"] and operation in rule["operations"] for rule in rules):
        return False
    request = {"userInfo": {"username": username}, "operation": operation}
    return all(value_of(one["expression"], request=request) for one in policy["spec"]["matchConditions"])


def refusals(policy, new=None, old=None, params=None):
    """First words of the messages of all validations that an object does not pass."""
    known, variables = {"object": new, "oldObject": old, "params": params}, {}
    for one in policy["spec"].get("variables", []):
        variables[one["name"]] = value_of(one["expression"], variables=variables, **known)
    return {
        one["message"].partition(":")[0]
        for one in policy["spec"]["validations"]
        if not value_of(one["expression"], variables=variables, **known)
    }


def policies(folder=FOLDERS[0]):
    found = [one for one in render(folder) if one["kind"] == "ValidatingAdmissionPolicy"]
    return {one["metadata"]["name"].split("-")[1]: one for one in found}


def allowed(folder=FOLDERS[0], **changes):
    (found,) = [one for one in render(folder) if one["kind"] == "ConfigMap"]
    return found | {"data": found["data"] | changes}


def as_stored(deployment):
    """A Deployment with what an API server fills in."""
    filled = copy.deepcopy(deployment)
    filled["metadata"] |= {"namespace": "kubeflow", "generation": 1, "managedFields": [], "annotations": {}}
    spec = filled["spec"]["template"]["spec"]
    spec |= {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
    for container in spec["containers"] + spec.get("initContainers", []):
        container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    return filled


def pod(deployment):
    return deployment["spec"]["template"]["spec"]


def from_secret(name, key="AWS_ACCESS_KEY_ID"):
    return {"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def labels_of_pods(deployment):
    return deployment["spec"]["template"]["metadata"]["labels"]


def mount_of_claim(container):
    container["volumeMounts"].append({"name": "store", "mountPath": "/mnt/again"})
