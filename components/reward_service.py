"""Contract of stage reward service: the reward model behind HTTP for as long as GRPO asks it."""

from kfp import dsl

from components.contract import contract


@contract("evaluate")
def reward_service(
    judge: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: int,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
) -> str:
    """Serve the reward model, unless GRPO over exactly these inputs is finished already.

    Args:
        judge: Manifest of the reward model; an empty one when it is switched off.
        policy: Manifest of the model GRPO will start from.
        curated: Reference to the curated sets.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: GPUs of the server.
        nodes: Labels of the nodes it may run on.
        tolerations: Taints that it bears.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run, for what is made in the cluster.

    Returns:
        Base URL of the service, empty when nobody will ask it.
    """
    from globe import artifacts
    from globe.serving.recipe import ServingRecipe
    from globe.serving.stages import Place, serve
    from globe.settings import load_stage_recipe
    from globe.storage import open_store
    from globe.training.grpo import REWARD_MODEL_NAME, find_finished_grpo
    from globe.training.recipe import GrpoRecipe

    model = artifacts.optional_checkpoint(judge.path)
    finished = model and find_finished_grpo(
        open_store(store),
        policy=artifacts.checkpoint(policy.path),
        data=artifacts.data_folder(curated.path),
        judge=model,
        recipe_name=recipes["grpo"],
        recipe=load_stage_recipe(GrpoRecipe, "grpo", recipes, overrides),
    )
    urls = serve(
        "reward_service",
        {REWARD_MODEL_NAME: model} if model else {},
        load_stage_recipe(ServingRecipe, "serving", recipes, overrides),
        Place(run, gpus, nodes, tolerations, cluster),
        needed=model is not None and finished is None,
        reason="GRPO is finished, nobody will ask" if model else "no reward model",
        wait=False,  # the trainer needs half a minute to load, and waits for the service before its first question
    )
    return urls.get(REWARD_MODEL_NAME, "")
