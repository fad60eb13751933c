"""Contract of the first task: check everything that is cheap to check before any GPU is requested."""

from typing import NamedTuple

from kfp import dsl

from components.contract import contract


@contract("validate")
def validate(
    stages: list,
    recipes: dict,
    overrides: dict,
    store: str,
    cluster: dict,
    summary: dsl.Output[dsl.Markdown],
    source: str = "",
    teachers: str = "",
    base_model: str = "",
    start_from: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
    train_sft: bool = False,
    train_reward_model: bool = False,
    sft_gpus: int = 0,
    reward_model_gpus: int = 0,
    grpo_gpus: int = 0,
    serving_gpus: int = 0,
    node_selectors: dict = {},  # noqa: B006
    tolerations: list = [],  # noqa: B006
    baseline: str = "",
    url: str = "",
    model_name: str = "",
    promote: bool = False,
    result: str = "",
) -> NamedTuple(
    "Plan",
    [
        ("sft", str),
        ("reward_model", str),
        ("grpo", str),
        ("sft_nodes", dict),
        ("reward_model_nodes", dict),
        ("grpo_nodes", dict),
        ("serving_nodes", dict),
        ("sft_gpus", str),
        ("reward_model_gpus", str),
        ("grpo_gpus", str),
        ("serving_gpus", str),
        ("titles", dict),
        ("s3_secret", str),
    ],
):
    """Check a run's inputs and say which of its stages will run.

    Args:
        stages: The pipeline's stages with recipes.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', by STAGE.FIELD.
        store: Folder or s3:// prefix that keeps the results of all stages.
        cluster: What the profile says about the cluster; empty on a laptop.
        summary: What will run, on which GPUs, and what that is expected to take.
        source: Pictures to start from; empty if the pipeline has none.
        teachers: Teachers to ask; empty if the pipeline asks none.
        base_model: Model to start from, or to evaluate unless a server is given.
        start_from: Results to take instead of making them, by stage.
        train_sft: Fine-tune before GRPO.
        train_reward_model: Train the localizability judge.
        sft_gpus: GPUs of SFT.
        reward_model_gpus: GPUs of the reward model's training.
        grpo_gpus: GPUs of GRPO.
        serving_gpus: GPUs of each server.
        node_selectors: Node labels by stage.
        tolerations: Taints that pods with GPUs tolerate.
        baseline: What the evaluation pipeline compares with.
        url: Server that is up, to evaluate instead of a checkpoint.
        model_name: What that server calls the model.
        promote: Whether the evaluation pipeline promotes a model that passes.
        result: Where the evaluation pipeline writes its figures and verdict.

    Returns:
        Whether SFT, reward model and GRPO run, are given or are off; the node labels of each stage with GPUs; its number of
        GPUs, in digits, since a backend reads a pod's limits from texts only; what the run calls its models, by part; the secret
        with S3's keys, or the name of none where nothing is on S3, for the other tasks' pods.
    """
    from globe.run.cluster import read_cluster
    from globe.run.plan_page import plan_markdown
    from globe.run.preflight import Request, s3_secret
    from globe.run.validate import validate as stage

    request = Request(
        stages=stages,
        recipes=recipes,
        overrides=overrides,
        store=store,
        source=source or None,
        teachers=teachers or None,
        base_model=None if url else base_model or None,
        start_from=start_from,
        train_sft=train_sft,
        train_reward_model=train_reward_model,
        gpus={"sft": sft_gpus, "reward_model": reward_model_gpus, "grpo": grpo_gpus, "serving": serving_gpus},
        node_selectors=node_selectors,
        tolerations=tolerations,
        baseline=baseline,
        url=url,
        model_name=model_name,
        promote=promote,
        result=result,
    )
    plan = stage(request, cluster)
    settings = read_cluster(cluster)
    page = plan_markdown(request, plan, settings)
    with open(summary.path, "w", encoding="utf-8") as file:
        file.write(page)
    print(page, flush=True)
    states = [plan.states.get(name, "off") for name in ("sft", "reward_model", "grpo")]
    nodes = [node_selectors.get(name, {}) for name in ("sft", "reward_model", "grpo", "serving")]
    gpus = [str(request.gpus[name]) for name in ("sft", "reward_model", "grpo", "serving")]
    return (*states, *nodes, *gpus, plan.titles, s3_secret(request, settings))
