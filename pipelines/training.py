"""The training pipeline, top to bottom.

    source -> curation -> SFT (optional) ---------------------> GRPO -> serving -> evaluation -> gate -> promote | reject
                      \\-> reward model (optional) -> its service --^

Whatever happens, the tear-down ends every server that the run has started.
"""

from kfp import dsl

from components.base_model import base_model as base_model_stage
from components.baselines import baselines
from components.checkpoint import checkpoint, pass_through, skip
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


def _once(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Stages find their own finished work in the store, so the backend's cache must never answer for them."""
    return task.set_caching_options(False)


@dsl.pipeline(name="globe-training", description="Curate, fine-tune, reinforce, serve, evaluate and judge a model.")
def training(
    store: str,
    source: str = "toy",
    pictures: int = 2100,
    teachers: str = "simulated",
    base_model: str = "tiny",
    train_sft: bool = True,
    train_reward_model: bool = True,
    curation_recipe: str = "demo",
    sft_recipe: str = "demo",
    reward_model_recipe: str = "demo",
    grpo_recipe: str = "demo",
    serving_recipe: str = "demo",
    evaluation_recipe: str = "demo",
    overrides: dict = {},  # noqa: B006 (KFP's way to give a dict parameter a default)
    seed: int = 0,
):
    """Train a model to say where a photo was taken, and why.

    Args:
        store: Folder that keeps the results of all stages; finished ones are found there and reused.
        source: "toy" for the generated world, a folder of geotagged photos, or a CSV/TSV with positions.
        pictures: How many pictures to draw, or to read at most (0 reads all).
        teachers: Comma-separated MODEL@URL (and coordinates:MODEL@URL), or "simulated" for the toy world.
        base_model: Folder of a Hugging Face model, or "tiny" for the demo's.
        train_sft: Fine-tune before GRPO; switched off, GRPO starts from the base model.
        train_reward_model: Train the localizability judge; switched off, GRPO leaves that reward out.
        curation_recipe: Recipe of the curation stage.
        sft_recipe: Recipe of the SFT stage.
        reward_model_recipe: Recipe of the reward-model stage.
        grpo_recipe: Recipe of the GRPO stage.
        serving_recipe: How models are served.
        evaluation_recipe: How models are asked and judged.
        overrides: Values that replace recipes', such as {"grpo.beta": 0.0}.
        seed: Seed of the toy world and the tiny model.
    """
    common = {"overrides": overrides, "store": store}

    with dsl.ExitHandler(teardown().set_caching_options(False)):
        raw = _once(source_stage(source=source, pictures=pictures, seed=seed, store=store))
        base = _once(base_model_stage(model=base_model, seed=seed, store=store)).outputs["checkpoint"]
        curated = _once(curation(data=raw.outputs["data"], teachers=teachers, recipe=curation_recipe, **common)).outputs[
            "curated"
        ]

        with dsl.If(train_sft == True, name="with-sft"):  # noqa: E712 (builds a condition, compares nothing)
            tuned = _once(sft(base_model=base, curated=curated, recipe=sft_recipe, **common))
        with dsl.Else(name="without-sft"):
            untuned = _once(pass_through(given=base, stage="sft"))
        start = _once(checkpoint(manifest=dsl.OneOf(tuned.outputs["Output"], untuned.output))).outputs["checkpoint"]

        compared = _once(baselines(base_model=base, start=start, curated=curated, recipe=evaluation_recipe, **common)).outputs[
            "evaluated"
        ]

        with dsl.If(train_reward_model == True, name="with-reward-model"):  # noqa: E712
            judge = _once(reward_model(base_model=base, curated=curated, recipe=reward_model_recipe, **common))
            service = _once(
                reward_service(
                    judge=judge.outputs["checkpoint"],
                    policy=start,
                    curated=curated,
                    grpo_recipe=grpo_recipe,
                    recipe=serving_recipe,
                    **common,
                )
            )
            judged = _once(
                grpo(
                    policy=start,
                    curated=curated,
                    recipe=grpo_recipe,
                    judge=judge.outputs["checkpoint"],
                    reward_url=service.output,
                    **common,
                )
            )
            _once(stop_reward_service(trained=judged.outputs["checkpoint"]))
        with dsl.Else(name="without-reward-model"):
            _once(skip(stage="reward_model"))
            _once(skip(stage="reward_service"))
            unjudged = _once(grpo(policy=start, curated=curated, recipe=grpo_recipe, **common))
        policy = _once(checkpoint(manifest=dsl.OneOf(judged.outputs["Output"], unjudged.outputs["Output"]))).outputs["checkpoint"]

        served = _once(
            serving(policy=policy, curated=curated, evaluation_recipe=evaluation_recipe, recipe=serving_recipe, **common)
        )
        evaluated = _once(
            evaluation(policy=policy, curated=curated, url=served.output, recipe=evaluation_recipe, **common)
        ).outputs["evaluated"]

        verdict = _once(gate(baselines=compared, evaluated=evaluated, recipe=evaluation_recipe, **common))
        with dsl.If(verdict.output == "promote", name="promoted"):
            _once(promote(policy=policy, evaluated=evaluated, store=store))
        with dsl.Else(name="rejected"):
            _once(reject(baselines=compared, evaluated=evaluated, recipe=evaluation_recipe, overrides=overrides))
