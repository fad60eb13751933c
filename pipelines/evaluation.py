"""The evaluation pipeline, top to bottom: what CI starts for a new checkpoint.

    validate -> model, dataset -> serving -> evaluation -> gate -> accept | reject

The model is a checkpoint, which the run serves, or it is behind the URL of a server that is up. Whatever happens, the tear-down
ends the server that the run started; it leaves one that was given alone.
"""

from kfp import dsl

from components.base_model import model as model_stage
from components.evaluation import evaluation as evaluation_stage
from components.gate import gate
from components.promote import accept, reject
from components.serving import serving
from components.source import source
from components.teardown import teardown
from components.validate import validate
from pipelines.placement import RUN, cluster_settings

RECIPES = {"source": "benchmark", "serving": "gpu", "evaluation": "benchmark"}


def evaluation(
    model: str = "/mnt/globe/models/candidate",
    url: str = "",
    model_name: str = "",
    dataset: str = "/mnt/globe/sources/test",
    store: str = "/mnt/globe/store",
    baseline: str = "promoted",
    promote: bool = False,
    result: str = "",
    recipes: dict = RECIPES,
    overrides: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
    serving_gpus: int = 1,
    node_selectors: dict = {"serving": {}},  # noqa: B006
    tolerations: list = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],  # noqa: B006
):
    """Serve a checkpoint, ask it about held-out pictures, and judge it: the run fails unless the gate lets it pass.

    Args:
        model: Checkpoint to evaluate: its folder or s3:// URI. Not needed with `url`.
        url: Base URL of a server that is up, such as http://HOST:PORT/v1; nothing is served then. Empty to serve `model`.
        model_name: What that server calls the model.
        dataset: Pictures with their true places: NAME or NAME@PLACE of a known one, dataset, curated folder (its
            test set), geotagged photos, table, or s3:// URI.
        store: Folder or s3:// prefix for the results of all runs; finished stages are found there and reused.
        baseline: Evaluation to compare with: its folder, "promoted" for the promoted model's, empty for none.
        promote: Promote the checkpoint if it passes; it is then compared with the promoted model, too.
        result: Path or s3:// URI to write figures and verdict to as JSON; empty for none.
        recipes: Recipe of each stage, by name.
        overrides: Values that replace recipes', by STAGE.FIELD, such as {"evaluation.gate.threshold_km": "25"}.
        serving_gpus: GPUs for the server that answers, and for the served model that follows a promoted one.
        node_selectors: Node labels for both: {"serving": {label: value}}.
        tolerations: Taints that both tolerate, as a list of Kubernetes tolerations.
    """
    common = {"recipes": recipes, "overrides": overrides, "store": store}
    cluster = cluster_settings()

    ended = {"pipeline": "GLOBE evaluation", "goal": "verdict"}

    with dsl.ExitHandler(teardown(cluster=cluster, run=RUN, store=store, **ended)):
        valid = validate(
            stages=list(RECIPES),
            cluster=cluster,
            source=dataset,
            base_model=model,
            baseline=baseline,
            url=url,
            model_name=model_name,
            promote=promote,
            result=result,
            serving_gpus=serving_gpus,
            node_selectors=node_selectors,
            tolerations=tolerations,
            **common,
        )
        plan = valid.outputs
        on_serving = {"gpus": plan["serving_gpus"], "nodes": plan["serving_nodes"], "tolerations": tolerations}
        named = {"titles": plan["titles"], **common}

        test = source(source=dataset, **common).after(valid).outputs["data"]
        policy = model_stage(model=model, url=url, **common).after(valid).outputs["checkpoint"]
        server = {"cluster": cluster, "run": RUN, **on_serving, **common}
        served = serving(policy=policy, test=test, baseline=baseline, url=url, **server).output
        asked = {"url": served, "model_name": model_name, "run": RUN}
        evaluated = evaluation_stage(policy=policy, test=test, **asked, **named).outputs["evaluated"]
        judging = {"baseline": baseline, "promotes": promote, "result": result, "run": RUN, "cluster": cluster}
        judged = gate(evaluated=evaluated, **judging, **named).outputs
        # In KFP's local runner an If without an Else that tests a task's output never comes true, and the run just succeeds.
        with dsl.If(judged["decision"] == "promote", name="accepted"):
            accept(
                policy=policy,
                evaluated=evaluated,
                promotes=promote,
                instead_of=judged["promoted"],
                verdict=judged["verdict"],
                reasons=judged["reasons"],
                **server,
            )
        with dsl.Else(name="rejected"):  # anything but a clear yes is a no
            reject(reasons=judged["reasons"], verdict=judged["verdict"], store=store)
