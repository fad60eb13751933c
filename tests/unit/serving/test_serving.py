"""Stage serving: the policy is served under its name, but only for an evaluation that will ask it."""

from cluster_servers import MODEL
from cluster_servers import place as where

from globe.serving.recipe import ServingRecipe
from globe.serving.serving import serving


def served(needed):
    return serving(policy=MODEL, name="grpo", recipe=ServingRecipe(), place=where("run-1", 1), needed=needed)


def test_the_policy_answers_under_its_name(api):
    url = served(needed=True)
    (service,) = api.objects["services"].values()
    assert url == f"http://{service['metadata']['name']}.from-context.svc.cluster.local:8000/v1"
    assert service["metadata"]["labels"]["globe.dev/model"] == "grpo"


def test_nobody_is_served_for_an_evaluation_that_is_finished(api, capsys):
    assert served(needed=False) == ""
    assert api.requests == []
    assert "the evaluation is finished" in capsys.readouterr().err
