"""Contract of stage serving: serve the trained policy over HTTP until the run ends."""

from kfp import dsl

from components.contract import contract


@contract("serving")
def serving(
    policy: dsl.Input[dsl.Model],
    test: dsl.Input[dsl.Dataset],
    recipes: dict,
    overrides: dict,
    store: str,
    gpus: str,
    nodes: dict,
    tolerations: list,
    cluster: dict,
    run: str,
    baseline: str = "",
    url: str = "",
) -> str:
    """Serve the policy, unless exactly this evaluation of it has already finished, or it is served already.

    Before anything is served, a dataset that is not the baseline's is refused.

    Args:
        policy: Manifest of the policy; of nothing if a server is given.
        test: Reference to the held-out pictures.
        recipes: Name of each stage's recipe.
        overrides: Values that replace recipes', such as {"serving.max_num_seqs": 16}.
        store: Folder or s3:// prefix that keeps the results of all stages.
        gpus: Number of GPUs of the server, in digits.
        nodes: Labels of the nodes it may run on.
        tolerations: Taints that it tolerates.
        cluster: What the profile says about the cluster; empty on a laptop.
        run: Name of the run, for the labels of what it creates in the cluster.
        baseline: What an evaluation by itself compares with.
        url: Base URL of a server that is up; empty if there is none.

    Returns:
        Base URL of the server; empty if it is not needed.
    """
    from globe.data.shards import count_rows, dataset_digest
    from globe.errors import InputError
    from globe.evaluation.evaluation import find_finished_evaluation
    from globe.evaluation.promote import find_baseline, require_fit
    from globe.evaluation.recipe import EvaluationRecipe
    from globe.evaluation.titles import POLICY
    from globe.recipes.load import load_stage_recipe
    from globe.run import artifacts
    from globe.run.cluster import Place, read_cluster
    from globe.run.events import fail, skip
    from globe.serving.recipe import ServingRecipe
    from globe.serving.serving import serving as stage
    from globe.storage import open_store

    pictures = artifacts.test_set(test.path)
    try:
        require_fit(find_baseline(baseline, open_store(store)), dataset_digest(pictures), count_rows(pictures))
    except InputError as error:
        fail("serving", error)
        raise
    if url:
        skip("serving", f"{url} is up")
        return url
    model = artifacts.checkpoint(policy.path)
    evaluation = load_stage_recipe(EvaluationRecipe, "evaluation", recipes, overrides)
    recipe = load_stage_recipe(ServingRecipe, "serving", recipes, overrides)
    question = (model, pictures, evaluation, recipe)
    return stage(
        policy=model,
        name=POLICY,
        recipe=recipe,
        place=Place(run, int(gpus), nodes, tolerations, read_cluster(cluster), store),
        needed=find_finished_evaluation(open_store(store), *question) is None,
    )
