"""Contract of stage reward service: serve the reward model over HTTP for as long as GRPO needs it."""

from kfp import dsl

from components.contract import contract


@contract("reward_service")
def reward_service(
    judge: dsl.Input[dsl.Model],
    policy: dsl.Input[dsl.Model],
    curated: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
) -> str:
    """Serve the reward model, unless GRPO has already finished with exactly these inputs.

    Args:
        judge: Manifest of the reward model; empty if it is switched off.
        policy: Manifest of the model GRPO will start from.
        curated: Reference to the curated sets.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs of the server, in digits.
        nodes: Labels of the nodes it may run on.
        tolerations: Taints that it tolerates.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run, for the labels of what it creates in the cluster.

    Returns:
        Base URL of the service; empty if it is not needed.
    """
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.cluster import Place, read_cluster
    from globe.serving.recipe import ServingRecipe
    from globe.serving.reward_service import reward_service as stage
    from globe.storage import open_store
    from globe.training.grpo_recipe import GrpoRecipe

    return stage(
        judge=artifacts.optional_checkpoint(judge.path),
        policy=artifacts.checkpoint(policy.path),
        data=artifacts.data_folder(curated.path),
        recipe_name=recipes["grpo"],
        recipe=load_stage_recipe(GrpoRecipe, "grpo", recipes, overrides),
        serving=load_stage_recipe(ServingRecipe, "serving", recipes, overrides),
        place=Place(run, int(gpus), nodes, tolerations, read_cluster(cluster), store),
        store=open_store(store),
    )
