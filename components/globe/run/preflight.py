"""Check everything about a run that can be checked before anything is spent: recipes, overrides, paths, teachers, GPUs.

`python -m pipelines run` and `submit` do this before they start anything, and a pipeline's first task does it again where the
claim, the secrets and the cluster's nodes can be seen.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from globe import storage
from globe.asking.client import check_url
from globe.asking.recipe import DECODING
from globe.curation.cut import check_annotators
from globe.curation.guard.facts import test_sets_of
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.named import SIMULATED, parse_teachers
from globe.curation.teachers.teacher import Teacher, check_teachers
from globe.data.named import DATASETS_VARIABLE, home_of, split_name
from globe.data.source import TOY
from globe.errors import InputError
from globe.evaluation.promote import PROMOTED_FILE
from globe.evaluation.titles import PROMOTED, evaluation_titles, training_titles
from globe.keys import SERVER_KEY, TEACHER_KEY, hosts_of, is_inside, may_carry_secrets, why_withheld
from globe.models.checkpoints import MANIFEST_FILE, TINY, read_checkpoint
from globe.models.safety import check_model_folder, check_model_place
from globe.recipes.load import load_stage_recipe
from globe.rewards import LOCALIZABILITY
from globe.run.cluster import NO_SECRET, Cluster
from globe.run.nodes import check_placing
from globe.run.stages import CAN_BE_GIVEN, GPU_STAGES, RECIPES
from globe.serving.recipe import ServingRecipe
from globe.training.fitted import fitted
from globe.training.recipe import TrainRecipe

RUN, GIVEN, OFF = "run", "given", "off"


@dataclass(frozen=True)
class Request:
    """What a run is asked to do. The fields are the pipelines' parameters; those that a pipeline lacks stay None."""

    recipes: Mapping[str, str]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[str] = ()
    """Stages with recipes that the pipeline has."""
    store: str = ""
    source: str | None = None
    teachers: str | None = None
    base_model: str | None = None
    start_from: Mapping[str, str] = field(default_factory=dict)
    train_sft: bool = False
    train_reward_model: bool = False
    gpus: Mapping[str, int] = field(default_factory=dict)
    """GPUs promised to each stage; missing or 0 if none are promised."""
    annotators: int | None = None
    node_selectors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels of the nodes that a stage may run on, by stage."""
    tolerations: Sequence[Any] = ()
    """Taints that pods with GPUs tolerate, as Kubernetes writes them."""
    baseline: str = ""
    """What an evaluation by itself compares with."""
    url: str = ""
    """Server that is up, which it asks instead of serving a checkpoint."""
    model_name: str = ""
    """What that server calls the model."""
    promote: bool = False
    """Whether it promotes a model that passes."""
    result: str = ""
    """Where it writes its figures and verdict, besides the store."""

    @property
    def evaluates_only(self) -> bool:
        """Whether nothing is trained and one model is evaluated on one dataset, which the parameters are then called."""
        return "evaluation" in self.stages and "grpo" not in self.stages

    @property
    def may_promote(self) -> bool:
        """Whether a policy that passes becomes the promoted one."""
        return self.promote or "grpo" in self.stages

    @property
    def names(self) -> dict[str, str]:
        """This pipeline's names for parameters that are not called the same in every pipeline."""
        return {"source": "dataset", "base_model": "model"} if self.evaluates_only else {}


@dataclass(frozen=True)
class Plan:
    """Which of the training stages run, are given, or are off, and what a reader should know about it."""

    states: Mapping[str, str]
    """"run", "given" or "off" by stage; empty where nothing is trained."""
    notes: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    """What the run calls its models, by part."""


def check(request: Request, cluster: Cluster | None = None) -> Plan:
    """Check a request and the paths that it names, and say which stages will run.

    Args:
        request: What the run is asked to do.
        cluster: The cluster's settings, which say on how many nodes a stage trains; None on a laptop.

    Raises:
        InputError: One line with what is wrong and what to give instead.
    """
    check_places(request)
    plan = check_settings(request, cluster)
    if request.evaluates_only:
        served_as = request.model_name if request.url else ""
        return replace(plan, titles=evaluation_titles(str(request.base_model), request.baseline, served_as))
    return plan


def check_settings(request: Request, cluster: Cluster | None = None) -> Plan:
    """Check a request without looking at the paths that it names, and say which stages will run.

    Args:
        request: As in `check`; so is the next.
        cluster: The cluster's settings.

    Raises:
        InputError: One line with what is wrong and what to give instead.
    """
    _known("start_from", request.start_from, CAN_BE_GIVEN)
    check_names(request.recipes, request.node_selectors, request.overrides)
    check_placing(request.node_selectors, request.tolerations)
    _texts("recipes", request.recipes)
    if request.annotators is not None:
        check_annotators(request.annotators)
    _texts("start_from", request.start_from)
    _check_server(request)
    recipes = {name: load_stage_recipe(RECIPES[name], name, request.recipes, request.overrides) for name in request.stages}
    plan = _plan(request, recipes)
    if not request.evaluates_only and "evaluation" in recipes:
        _check_asking(recipes["evaluation"])
    if request.teachers is not None and "curation" not in request.start_from:
        _check_teachers(request, recipes)
    _check_gpus(request, recipes, plan, cluster)
    return plan


def check_names(
    recipes: Mapping[str, str], node_selectors: Mapping[str, Any], overrides: Mapping[str, Any], where: str = ""
) -> None:
    """Check that what a run says about its stages is about stages that there are; else it would be about none.

    Args:
        recipes: By stage, its recipe.
        node_selectors: By stage, node labels.
        overrides: By STAGE.FIELD, what replaces a recipe's value.
        where: What stands before their names in a message.

    Raises:
        InputError: No such stage; names those that there are.
    """
    _known(f"{where}recipes", recipes, RECIPES)
    _known(f"{where}node_selectors", node_selectors, GPU_STAGES)
    for key in overrides:
        stage, dot, _ = key.partition(".")
        if not dot or stage not in RECIPES:
            raise InputError(f"{where}overrides: {key}: write it as STAGE.FIELD; recipes belong to {', '.join(RECIPES)}")


def _check_asking(recipe: BaseModel) -> None:
    """The baselines answer in process, greedily; a policy that is asked in another way could not be compared with them."""
    for name in DECODING:
        if name != "max_tokens" and getattr(recipe, name) != type(recipe).model_fields[name].default:
            raise InputError(
                f"evaluation.{name}: the models that training starts from answer once, greedily, and what it makes is compared "
                "with them; leave it out here, or set it in the evaluation pipeline"
            )


def check_places(request: Request) -> None:
    """Check that what a request names is there, and that its store can be written to.

    Raises:
        InputError: One line with what is missing or cannot be reached.
    """
    _texts("start_from", request.start_from)
    if request.store:
        _accessible("store", request.store, write=True)
    if request.source not in (None, TOY) and "curation" not in request.start_from:
        known, place = split_name(str(request.source))
        _accessible(request.names.get("source", "source"), place or (home_of(known) if known else ""))
    if request.base_model not in (None, TINY):
        _check_model(request.names.get("base_model", "base_model"), str(request.base_model))
    if request.baseline not in ("", PROMOTED) and not storage.exists(f"{request.baseline.rstrip('/')}/{storage.RESULT_FILE}"):
        raise InputError(f"baseline: {request.baseline}: no finished evaluation there (it has a {storage.RESULT_FILE})")
    _known("start_from", request.start_from, CAN_BE_GIVEN)
    for stage, uri in request.start_from.items():
        name = f"start_from {stage}"
        _accessible(name, uri) if stage == "curation" else _check_model(name, uri)


def check_secrets(expected: Mapping[str, str], required: Sequence[str]) -> list[str]:
    """Check that the environment variables which secrets fill are there.

    Args:
        expected: By variable, the secret whose key of the same name it comes from.
        required: Variables without which the run cannot work.

    Returns:
        Notes about variables that are missing but not required. S3 settings other than its keys are optional and not mentioned,
        and `check_keys` says where hosts are to be named.

    Raises:
        InputError: A required one is missing or empty; names the secret, never a value.
    """
    missing = {name: f"key {name} of secret {secret}" for name, secret in expected.items() if not os.environ.get(name)}
    for name, source in missing.items():
        if name in required:
            raise InputError(f"{name} is not set: {source} is missing or empty; create it (see manifests/README.md)")
    optional = {*storage.S3_VARIABLES, TEACHER_KEY.hosts_variable, SERVER_KEY.hosts_variable} - set(storage.S3_KEYS)
    return [f"{name} is not set ({source})" for name, source in missing.items() if name not in optional]


def check_keys(request: Request) -> list[str]:
    """Check that the keys that are there may go to the servers that the request names.

    Returns:
        Notes about servers that are asked without a key.

    Raises:
        InputError: A server outside of the cluster is asked, and nobody has said which hosts the key in the secret is for.
    """
    asked = [(url, TEACHER_KEY) for teacher in _real_teachers(request) for url in teacher.urls if url]
    asked += [(request.url, SERVER_KEY)] if request.url else []
    notes = []
    for url, key in asked:
        if withheld := why_withheld(url, key):
            if hosts_of(key) is None and not is_inside(url) and may_carry_secrets(url):
                raise InputError(withheld)
            notes.append(withheld)
    return notes


def required_variables(request: Request) -> list[str]:
    """Environment variables without which the run cannot work: the keys for S3, if it reads or writes there."""
    places = [request.store, request.source, request.base_model, request.baseline, *request.start_from.values()]
    return list(storage.S3_KEYS) if any("s3://" in str(place) for place in places) else []


def s3_secret(request: Request, cluster: Cluster | None) -> str:
    """The secret with S3's keys, for the pods of a run that has anything on S3; the name of none for one that has not.

    Args:
        request: The run.
        cluster: What the profile says about the cluster; None on a laptop.
    """
    return (cluster and needs_s3(request) and cluster.s3_secret()) or NO_SECRET


def needs_s3(request: Request) -> bool:
    """Whether anything that a run reads or writes may lie on S3: an address of its inputs, or of a record that they lead to."""
    told = [json.dumps(asdict(request), default=str), os.environ.get(DATASETS_VARIABLE, ""), *_records(request)]
    return any("s3:/" in text.lower() for text in told)


def _records(request: Request) -> Iterator[str]:
    """Texts on the claim that may say that a model, an evaluation or the promoted model lies on S3."""
    named = [request.base_model, request.baseline, *request.start_from.values()]
    files = [Path(str(place), name) for place in filter(None, named) for name in (MANIFEST_FILE, storage.RESULT_FILE)]
    for file in (*files, Path(request.store, PROMOTED_FILE), *map(Path, request.recipes.values())):
        with suppress(OSError):  # most are not there
            yield file.read_text(encoding="utf-8", errors="replace")


def busy_gpus(request: Request, plan: Plan) -> dict[str, int]:
    """GPUs by stage, for the stages that will ask for some."""
    return {name: count for name, count in request.gpus.items() if count and plan.states.get(name, RUN) == RUN}


def _plan(request: Request, recipes: Mapping[str, BaseModel]) -> Plan:
    if "grpo" not in request.stages:
        return Plan({})
    given, notes = request.start_from, []
    judged = LOCALIZABILITY in recipes["grpo"].rewards  # type: ignore[attr-defined]
    grpo = GIVEN if "grpo" in given else RUN
    if grpo == GIVEN and not ({"sft"} & set(given)):
        notes.append("GRPO's result is given: SFT and the reward model are not trained")
    sft = GIVEN if "sft" in given else RUN if request.train_sft and grpo == RUN else OFF
    judge = GIVEN if "reward_model" in given else RUN if request.train_reward_model else OFF
    if grpo == GIVEN or not judged:
        if judge == RUN and grpo == RUN:
            notes.append(f"recipe {request.recipes['grpo']} has no localizability reward: no reward model is trained")
        judge = OFF
    elif judge == OFF:
        recipes["grpo"].weights(judged=False)  # type: ignore[attr-defined]
        notes.append("no reward model: GRPO leaves the localizability reward out")
    states = {"sft": sft, "reward_model": judge, "grpo": grpo}
    return Plan(states, tuple(notes), training_titles(sft=sft, grpo=grpo))


def _check_teachers(request: Request, recipes: Mapping[str, BaseModel]) -> None:
    if request.source != TOY and request.teachers == SIMULATED:
        raise InputError(
            "teachers: real photos need real teachers; give teachers=MODEL@URL,MODEL@URL[,KIND:MODEL@URL] (VLMs on any "
            "OpenAI-compatible server, witnesses of KIND coordinates, segmentation, alignment; the simulated ones only know "
            "the toy world)"
        )
    recipe = recipes["curation"]
    assert isinstance(recipe, CurationRecipe)
    if request.teachers != SIMULATED:
        check_teachers(_real_teachers(request), recipe)
    test_sets_of(recipe)


def _real_teachers(request: Request) -> list[Teacher]:
    """Whom a run asks; what it starts itself for that has no URL yet."""
    if request.teachers in (None, SIMULATED) or "curation" in request.start_from:
        return []
    return parse_teachers(str(request.teachers))


def _check_server(request: Request) -> None:
    if bool(request.url) != bool(request.model_name):
        there, missing = ("url", "model_name") if request.url else ("model_name", "url")
        raise InputError(
            f"{missing}: missing; {there} is given, and a server's model needs both, such as url=http://HOST:PORT/v1"
        )
    if request.url:
        try:
            check_url(request.url)  # now, since a run's parameters can be seen by many
        except InputError as error:
            raise InputError(str(error).replace("--url", "url:", 1)) from None
    if request.url and request.promote:
        raise InputError("promote: a model behind a url cannot be promoted; give its checkpoint as model, and no url")


def _check_model(name: str, uri: str) -> None:
    _accessible(name, uri)
    if not any(storage.exists(f"{uri.rstrip('/')}/{file}") for file in ("config.json", MANIFEST_FILE)):
        raise InputError(f"{name}: {uri}: no config.json there; give the folder of a Hugging Face model or of a checkpoint")
    try:
        check_model_place(uri)
        if not storage.exists(f"{uri.rstrip('/')}/config.json") and not _is_elsewhere(uri):
            check_model_folder(Path(read_checkpoint(Path(uri)).uri))  # a user's own folder, with its manifest in a store
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _is_elsewhere(uri: str) -> bool:
    return storage.address_of(uri) is not None or storage.is_mirrored(Path(uri))


def _accessible(name: str, uri: str, *, write: bool = False) -> None:
    try:
        storage.check_access(uri, write=write)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _check_gpus(request: Request, recipes: Mapping[str, BaseModel], plan: Plan, cluster: Cluster | None) -> None:
    for stage, state in plan.states.items():
        promised, recipe = request.gpus.get(stage, 0), recipes.get(stage)
        if promised < 0:
            raise InputError(f"{stage}_gpus: {promised}: give 0 or more")
        if state != RUN or not promised or not isinstance(recipe, TrainRecipe):
            continue
        try:
            fitted(recipe, promised * (cluster.nodes_of(stage) if cluster else 1))
        except InputError as error:
            raise InputError(f"{stage}_gpus: {error}") from None
    serving = recipes.get("serving")
    promised = request.gpus.get("serving", 0)
    if isinstance(serving, ServingRecipe) and promised and serving.tensor_parallel_size != promised:
        raise InputError(
            f"serving_gpus: {promised} GPUs are asked for, but recipe {request.recipes['serving']} uses "
            f'{serving.tensor_parallel_size}; give overrides {{"serving.tensor_parallel_size": {promised}}} or the other number'
        )


def _texts(parameter: str, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"{parameter}: {key}: {value!r} names nothing; give a text, or leave {key} out")


def _known(parameter: str, given: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]) -> None:
    for key in given:
        if key not in known:
            raise InputError(f"{parameter}: {key}: no such stage; choose from {', '.join(known)}")
