"""What an API server makes of a ValidatingAdmissionPolicy: its conditions, variables and validations, by Google's own CEL.

An expression that cannot be decided is an error here; an API server refuses then, too (`failurePolicy: Fail`).
"""

from functools import cache

import pytest

cel = pytest.importorskip("cel_expr_python.cel", reason="needs cel-expr-python, which evaluates the policies' expressions")
from cel_expr_python.ext import ext_strings  # noqa: E402

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
    plural = f"{kind.lower()}s"
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
