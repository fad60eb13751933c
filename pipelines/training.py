"""The training pipeline, top to bottom.

    validate -> source -> curation -> SFT (optional) ------------> GRPO -> serving -> evaluation -> gate -> promote | reject
                                  \\-> reward model (optional) -> its service --^

Whatever happens, the tear-down ends every server that the run has started. A stage whose result the run is given
(`start_from`) does not run; neither does one whose result is not needed.
"""

from kfp import dsl

from components.base_model import base_model as base_model_stage
from components.baselines import baselines
from components.checkpoint import checkpoint, given
from components.curation import curation
from components.evaluation import evaluation
from components.gate import gate
from components.grpo import grpo
from components.promote import promote, reject
from components.reward_model import reward_model
from components.reward_service import reward_service
from components.serving import serving
from components.sft import sft
from components.source import source as source_stage
from components.teardown import stop_reward_service, teardown
from components.validate import validate
from pipelines.placement import RUN, cluster_settings

RECIPES = {
    "source": "photos",
    "curation": "mp16",
    "sft": "qwen2.5-vl-7b",
    "reward_model": "qwen2.5-vl-7b",
    "grpo": "qwen2.5-vl-7b-two-rewards",
    "serving": "gpu",
    "evaluation": "benchmark",
}


def training(
    source: str = "/mnt/globe/sources/photos",
    teachers: str = "qwen2.5-vl-72b@http://qwen2-5-vl-72b:8000/v1,internvl3-78b@http://internvl3-78b:8000/v1,"
    "coordinates:geoclip@http://geoclip:8000/v1",
    base_model: str = "/mnt/globe/models/Qwen2.5-VL-7B-Instruct",
    store: str = "/mnt/globe/store",
    train_sft: bool = True,
    train_reward_model: bool = True,
    start_from: dict = {},  # noqa: B006 (KFP wants a dict parameter's default like this)
    recipes: dict = RECIPES,
    overrides: dict = {},  # noqa: B006
    sft_gpus: int = 8,
    reward_model_gpus: int = 8,
    grpo_gpus: int = 8,
    serving_gpus: int = 1,
    node_selectors: dict = {  # noqa: B006
        "sft": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"},
        "reward_model": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"},
        "grpo": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        "serving": {},
    },
    tolerations: list = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],  # noqa: B006
):
    """Curate, fine-tune, reinforce, serve, evaluate and judge a model that says where a photo was taken, and why.

    Args:
        source: Photos to learn from: folder, zip or tar of geotagged photos, table (CSV, TSV, parquet) with positions, dataset, s3://
            URI, a known data set's NAME or NAME@PLACE, or "toy".
        teachers: Models that annotate, comma-separated: VLMs as MODEL@URL, witnesses as KIND:MODEL[@URL] (KIND: coordinates,
            segmentation, alignment); or "simulated" (toy world only).
        base_model: Model to start from: folder or s3:// URI of a Hugging Face model, or "tiny" for the demo's.
        store: Folder or s3:// prefix for the results of all runs; finished stages are found there and reused.
        train_sft: Fine-tune before GRPO; switched off, GRPO starts from the base model.
        train_reward_model: Train the localizability judge, if the GRPO recipe has that reward (one with three rewards).
        start_from: Results to use instead of making them: {"curation" | "sft" | "reward_model" | "grpo": folder or s3:// URI}.
        recipes: Recipe of each stage, by name.
        overrides: Values that replace recipes', by STAGE.FIELD, such as {"grpo.learning_rate": 2e-6}.
        sft_gpus: GPUs for SFT, 40 GB each.
        reward_model_gpus: GPUs for training the reward model, 40 GB each.
        grpo_gpus: GPUs for GRPO, 80 GB each.
        serving_gpus: GPUs for each server (reward service, policy, the served model that follows it) and for the baselines.
        node_selectors: Node labels by stage (sft, reward_model, grpo, serving), which choose the kind of GPU.
        tolerations: Taints that pods with GPUs tolerate, as a list of Kubernetes tolerations.
    """
    common = {"recipes": recipes, "overrides": overrides, "store": store}
    instead = {"start_from": start_from, "store": store}
    cluster = cluster_settings()

    ended = {"pipeline": "GLOBE training", "goal": "promote"}

    with dsl.ExitHandler(teardown(cluster=cluster, run=RUN, store=store, **ended)):
        valid = validate(
            stages=list(RECIPES),
            cluster=cluster,
            source=source,
            teachers=teachers,
            base_model=base_model,
            start_from=start_from,
            train_sft=train_sft,
            train_reward_model=train_reward_model,
            sft_gpus=sft_gpus,
            reward_model_gpus=reward_model_gpus,
            grpo_gpus=grpo_gpus,
            serving_gpus=serving_gpus,
            node_selectors=node_selectors,
            tolerations=tolerations,
            **common,
        )
        plan = valid.outputs
        within = {"cluster": cluster, "run": RUN}
        on_sft = {**within, "gpus": plan["sft_gpus"], "nodes": plan["sft_nodes"], "tolerations": tolerations}
        on_reward_model = {"gpus": plan["reward_model_gpus"], "nodes": plan["reward_model_nodes"], "tolerations": tolerations}
        on_grpo = {**within, "gpus": plan["grpo_gpus"], "nodes": plan["grpo_nodes"], "tolerations": tolerations}
        on_serving = {"gpus": plan["serving_gpus"], "nodes": plan["serving_nodes"], "tolerations": tolerations}
        server = {"cluster": cluster, "run": RUN, **on_serving}

        raw = source_stage(source=source, start_from=start_from, **common).after(valid).outputs["data"]
        base = base_model_stage(base_model=base_model, **common).after(valid).outputs["checkpoint"]
        curated = curation(data=raw, teachers=teachers, start_from=start_from, **common).outputs["curated"]

        def tuned():
            return sft(base_model=base, curated=curated, **on_sft, **common)

        start = trained_or_given("sft", plan, tuned, otherwise=base, **instead)
        named = {"titles": plan["titles"], **common}
        compared = baselines(base_model=base, start=start, curated=curated, **on_serving, **named).outputs["evaluated"]

        def judged():
            return reward_model(base_model=base, curated=curated, **on_reward_model, **common)

        judge = trained_or_given("reward_model", plan, judged, **instead)

        def reinforced():
            url = reward_service(judge=judge, policy=start, curated=curated, **server, **common).output
            trained = grpo(policy=start, judge=judge, reward_url=url, curated=curated, **on_grpo, **common)
            stop_reward_service(trained=trained.outputs["checkpoint"], cluster=cluster, run=RUN, store=store)
            return trained

        policy = trained_or_given("grpo", plan, reinforced, helpers=["reward_service"], **instead)
        served = serving(policy=policy, test=curated, **server, **common).output
        evaluated = evaluation(policy=policy, test=curated, url=served, **named).outputs["evaluated"]
        verdict = gate(baselines=compared, evaluated=evaluated, run=RUN, cluster=cluster, **named).outputs
        with dsl.If(verdict["decision"] == "promote", name="promoted"):
            promote(policy=policy, evaluated=evaluated, instead_of=verdict["promoted"], **server, **common)
        with dsl.Else(name="rejected"):
            reject(reasons=verdict["reasons"], verdict=verdict["verdict"], store=store)


def trained_or_given(stage, plan, train, **instead):
    """A checkpoint: trained if the plan says so, else the one that the run was given, or a replacement.

    Args:
        stage: The stage that trains it.
        plan: Outputs of the first task; it is trained if its entry for the stage is "run".
        train: Makes the task that trains; called once, while the graph is composed.
        **instead: Arguments of `given`, for the case that nothing is trained.

    Returns:
        The checkpoint's manifest, whichever branch it came from.
    """
    name = stage.replace("_", "-")
    with dsl.If(plan[stage] == "run", name=f"train-{name}"):
        trained = train()
    with dsl.Else(name=f"no-{name}"):
        taken = given(stage=stage, **instead)
    return checkpoint(manifest=dsl.OneOf(trained.outputs["Output"], taken.output)).outputs["checkpoint"]
