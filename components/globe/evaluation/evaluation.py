"""Stage evaluation: ask the served policy about every held-out picture, score its answers, draw the report."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from globe.asking.client import find_model
from globe.asking.journal import alone
from globe.data.shards import dataset_digest
from globe.evaluation.evaluate import Endpoint, evaluate, headline, identity_of
from globe.evaluation.expected import expected_lines
from globe.evaluation.first_look import look_line
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.reports import REPORT_FILE
from globe.evaluation.titles import POLICY
from globe.evaluation.usage import asked, checkpoint_of
from globe.geo.layout import data_version
from globe.models.checkpoints import Checkpoint
from globe.run.events import Reporter
from globe.run.stage import Outcome, StageResult, find_finished, run_stage, stage_key
from globe.served import require_model
from globe.serving.recipe import ServingRecipe

SERVED_WITH = {"dtype", "max_model_len", "max_pixels"}
"""The serving recipe's fields that change answers; the others change how fast they come."""


def question_of(
    policy: Checkpoint | None,
    test: Path,
    recipe: EvaluationRecipe,
    serving: ServingRecipe,
    server: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What decides this stage's result: the `inputs`, `settings` and `code` that make its address."""
    return {
        "inputs": {"test": dataset_digest(test)} | ({"policy": policy.digest} if policy else dict(server or {})),
        "settings": asked(recipe, policy.prompt if policy else "").model_dump(exclude={"gate"})
        | {"served_with": serving.model_dump(include=SERVED_WITH), "places": data_version()},
        "code": (__name__,),
    }


def find_finished_evaluation(
    store: Path, policy: Checkpoint, test: Path, recipe: EvaluationRecipe, serving: ServingRecipe
) -> StageResult | None:
    """The result of an earlier call with the same question, or None; if there is one, the model need not be served."""
    return find_finished(store, "evaluation", stage_key("evaluation", **question_of(policy, test, recipe, serving)))


def evaluation(
    *,
    policy: Checkpoint | None,
    url: str,
    test: Path,
    recipe: EvaluationRecipe,
    serving: ServingRecipe,
    store: Path,
    model_name: str = "",
    run: str = "",
    key: Callable[[], str] = lambda: "",
) -> StageResult:
    """Evaluate the served policy on the held-out pictures.

    Args:
        policy: The checkpoint that is served; None for a model of a server that the run was given.
        url: Where it is served.
        test: The held-out dataset.
        recipe: The recipe.
        serving: How it is served.
        store: Where stages keep their results.
        model_name: What such a server calls the model.
        run: Name of the run; such a server's answers are not reused in another.
        key: Gives the key of the policy's server; asked only if there is something to ask the server.

    Returns:
        The stage's result; a folder `policy` with predictions.jsonl, metrics.json and report.html.
    """

    def work(folder: Path, reporter: Reporter) -> Outcome:
        if policy:
            served = find_model(url, POLICY, key())
            require_model(served.digest, policy.digest, url)
        else:
            served = find_model(url, model_name)
        made = policy or checkpoint_of(served)
        endpoint = Endpoint(url, served, made.digest if made else "", identity_of(policy) if policy else "")
        final = asked(recipe, made.prompt if made else "", served)
        with alone(folder / POLICY):
            metrics = evaluate(endpoint, test, folder / POLICY, final, reporter.progress)
        for line in (*metrics["warnings"], *look_line(metrics, recipe), *expected_lines(metrics)):
            reporter.note(line)
        return Outcome(
            figure=f"{metrics['n']} pictures: {headline(metrics)}",
            outputs={"folder": str(folder)},
            figures={POLICY: metrics},
            show=str(folder / POLICY / REPORT_FILE),
        )

    server = {"server": url, "model": model_name, "run": run}
    return run_stage("evaluation", store=store, work=work, **question_of(policy, test, recipe, serving, server))
