"""Profiles: where a run takes place and how big it is. One YAML file each in profiles/, validated before anything is spent."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, create_model

from globe.errors import InputError
from globe.recipes.load import BadOverride, is_file, parse_overrides, read_yaml, validate
from globe.run.cluster import Cluster
from globe.run.stage import RUN_VARIABLE
from globe.run.stages import RECIPES, STAGES
from globe.signing import SIGNED_VARIABLE
from globe.storage.uris import SCRATCH_VARIABLE
from pipelines.catalog import PIPELINES, Pipeline
from pipelines.local.container_settings import Containers

PROFILES = Path(__file__).parent / "profiles"
TEXTS = ("recipes", "start_from")
"""Parameters that hold several texts by stage."""
MAY_BE_EMPTY = ("baseline", "result", "url", "model_name")
"""Texts that may be empty, which means none."""


OURS = (RUN_VARIABLE, SCRATCH_VARIABLE, SIGNED_VARIABLE, "PATH", "HOME")
"""Variables that no secret may replace."""


def _as_in_a_profile(cluster: Cluster) -> Cluster:
    unknown = set(cluster.sizes) - set(STAGES)
    if unknown:
        raise ValueError(f"sizes: no task {sorted(unknown)[0]!r}; choose from {', '.join(STAGES)}")
    unknown = {stage for secret in cluster.secrets for stage in secret.stages} - set(STAGES)
    if unknown:
        raise ValueError(f"secrets: no task {sorted(unknown)[0]!r}; choose from {', '.join(STAGES)}")
    where: dict[tuple[str, str], str] = {}
    for secret in cluster.every_secret():
        for stage, key in product(secret.stages or STAGES, secret.keys):
            if key in OURS or where.setdefault((stage, key), secret.name) != secret.name:
                why = "which every pod is given" if key in OURS else f"which {where[stage, key]} fills, too"
                raise ValueError(
                    f"secrets: {secret.name}: key {key} would replace the variable {key}, {why}; leave it out of one"
                )
    if cluster.server_image or cluster.fetch_image:
        raise ValueError("server_image and fetch_image cannot be set in a profile: images/pins.yaml names all images")
    return cluster


class Profile(BaseModel):
    """One profile."""

    model_config = ConfigDict(extra="forbid")

    title: str
    parameters: dict[str, Any] = {}
    """Values that replace the defaults of pipelines' parameters; each pipeline takes those that it has."""
    cluster: Annotated[Cluster, AfterValidator(_as_in_a_profile)] | None = None
    """The cluster's settings; left out on a laptop."""
    containers: Containers = Containers()
    """Images and limits of `run --runner docker`."""


def load_profile(name: str) -> Profile:
    """Read a profile.

    Args:
        name: Name of a file in profiles/, or the path of a YAML file.

    Returns:
        The profile.

    Raises:
        InputError: Unknown profile or field, a wrong type, or a parameter that no pipeline has.
    """
    path = profile_path(name)
    if not is_file(path):
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
        raise InputError(f"no profile {name!r}: choose one of {known}, or give the path of a YAML file")
    profile = validate(Profile, read_yaml(path), str(path))
    known_parameters = {parameter for pipeline in PIPELINES.values() for parameter in pipeline.parameters.model_fields}
    for key in profile.parameters:
        if key not in known_parameters:
            raise InputError(f"{path}: parameters.{key}: no pipeline has this parameter")
    for pipeline in PIPELINES.values():
        own = {key: value for key, value in profile.parameters.items() if key in pipeline.parameters.model_fields}
        validate(create_model("Parameters", parameters=(pipeline.parameters, ...)), {"parameters": own}, str(path))
    return profile


def profile_path(name: str) -> Path:
    """The path of a profile, given its name or its path."""
    return Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"


def parse_settings(pipeline: Pipeline, pairs: Iterable[str]) -> dict[str, Any]:
    """Parse `--set KEY=VALUE` for a pipeline: a value has the type that YAML gives it, unless the parameter is a text.

    Raises:
        InputError: A pair without `=` or a key, or an empty value where something must be named.
    """
    fields = pipeline.parameters.model_fields

    def is_text(key: str) -> bool:
        return (key in fields and fields[key].annotation is str) or (key.partition(".")[0] in TEXTS and "." in key)

    settings = parse_overrides(pairs, is_text)
    for key, value in settings.items():
        if is_text(key) and not value.strip() and key not in MAY_BE_EMPTY:
            raise InputError(f"--set {key}=: the value is missing; give one, or leave the option out")
    return settings


@contextmanager
def overrides_named(profile_name: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Make an error about an override within a `with` block say where the override was given.

    Args:
        profile_name: The profile, which may hold overrides.
        settings: The `--set` values, which replace the profile's.
    """
    try:
        yield
    except BadOverride as error:
        given = (
            f"--set {error.key}" if error.key in settings else f"{profile_path(profile_name)}: parameters.overrides.{error.key}"
        )
        raise InputError(f"{given}: {error.reason}") from None


def arguments_of(pipeline: Pipeline, profile: Profile, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a run: the pipeline's defaults, replaced by the profile's values, replaced by `--set` values.

    Args:
        pipeline: The pipeline.
        profile: The profile.
        settings: Pipeline parameters by name, single entries of parameters that hold several (recipes.sft), or values of a
            stage's recipe (grpo.beta).

    Returns:
        A value for every parameter.

    Raises:
        InputError: Unknown parameter, stage or field, or a wrong type.
    """
    fields = pipeline.parameters.model_fields
    values = {key: value for key, value in profile.parameters.items() if key in fields}
    for key, value in settings.items():
        owner, dot, entry = key.partition(".")
        if not dot:
            values[key] = value
        elif owner in fields and fields[owner].annotation is dict:
            values[owner] = {**values.get(owner, fields[owner].default), entry: value}
        elif owner in RECIPES:
            values["overrides"] = {**values.get("overrides", {}), key: value}
        else:
            raise InputError(f"--set {key}: no stage {owner!r}; recipes belong to {', '.join(RECIPES)}")
    return dict(validate(pipeline.parameters, values, "--set", joint=" ").model_dump())
