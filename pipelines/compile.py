"""Compile the pipelines for a cluster, once for each backend: pipelines/compiled/kfp-VERSION/*.yaml, to upload in the KFP UI."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from google.protobuf import json_format
from rich.console import Console

from components.images import PINS
from globe.console import printable
from globe.errors import InputError
from globe.files import output_folder, write_atomically
from globe.run.cluster import Cluster
from globe.run.preflight import check_settings
from pipelines.backends import BACKENDS, NEWEST, Backend
from pipelines.catalog import PIPELINES, Pipeline, find_pipeline
from pipelines.paths import refuse_home_folders, refuse_places_in_pods
from pipelines.profile import arguments_of, load_profile, overrides_named
from pipelines.resources import kustomization_text, resources_text, takes_resources

COMPILED = Path(__file__).parent / "compiled"
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def compiled_text(
    pipeline: Pipeline, cluster: Cluster, backend: Backend = NEWEST, defaults: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """A pipeline as the YAML that a backend takes.

    Args:
        pipeline: The pipeline.
        cluster: Where its tasks will run.
        backend: What will run them there.
        defaults: Values of parameters that the UI's form shows instead of the pipeline's own.

    Returns:
        The YAML: the same for the same input.
    """
    # KFP looks through the whole stack at every setting of a task; below `python -m` that takes ten times as long.
    with ThreadPoolExecutor(1) as apart:
        built = apart.submit(pipeline.build, cluster, backend).result()
    parameters = built.pipeline_spec.root.input_definitions.parameters
    for name, value in defaults.items():
        json_format.ParseDict(value, parameters[name].default_value)
    # Written here, for KFP's own compiler takes a third of the time for this, and its header lists defaults in an order that
    # changes from run to run. That the content is what it writes is tested.
    documents = [json_format.MessageToDict(part) for part in (built.pipeline_spec, built.platform_spec)]
    body = yaml.dump_all(filter(None, documents), Dumper=yaml.CSafeDumper, width=130)
    head = f"# {pipeline.title}, for KFP {backend.version} ({backend.found_in}): upload this file in the KFP UI.\n"
    return f"{head}# Made by `python -m pipelines compile`; not to be edited.\n{body}"


def compile_all(
    profile_name: str,
    folder: Path,
    *,
    resources: Path | None = None,
    backends: Sequence[Backend] = tuple(BACKENDS.values()),
    check: bool,
    release: bool,
    console: Console,
) -> bool:
    """Compile every pipeline for every backend, or check that the compiled files are up to date.

    Args:
        profile_name: Profile whose cluster the files are for, and whose parameters are their defaults.
        folder: Where the files go, in a folder for each backend.
        resources: Where the same pipelines go as custom resources, for backends that read those; None to leave them out.
        backends: Whom they are for.
        check: Write nothing; say which files differ.
        release: Refuse images that are not named by digest.
        console: Where to print.

    Returns:
        False when `check` found a difference.

    Raises:
        InputError: No such profile, one without a cluster or with values that cannot work, or an image without a digest in a
            release.
    """
    cluster = cluster_of(profile_name)
    own = load_profile(profile_name).parameters
    arguments = {name: arguments_for(name, profile_name, {})[1] for name in PIPELINES}
    if release:
        require_digests(PINS)
    same = True
    for backend in backends:
        console.print(f"KFP {backend.version}  {backend.found_in}", highlight=False, markup=False)
        for lack in backend.lacks:
            console.print(f"  cannot: {lack}", highlight=False, markup=False, soft_wrap=True)
        texts: dict[Path, str] = {}
        for pipeline in PIPELINES.values():
            defaults = {key: value for key, value in arguments[pipeline.name].items() if key in own}
            text = compiled_text(pipeline, cluster, backend, defaults)
            texts[folder / backend.folder / f"{pipeline.name}.yaml"] = text
            if resources is not None and takes_resources(backend):
                texts[resources / backend.folder / f"{pipeline.name}.yaml"] = resources_text(pipeline, backend, text)
                texts[resources / backend.folder / "kustomization.yaml"] = kustomization_text(backend)
        for path, text in texts.items():
            same &= _write(path, text, check=check, console=console)
    return same


def _write(path: Path, text: str, *, check: bool, console: Console) -> bool:
    """Write a file, or check it. Returns whether it is up to date now."""
    name = printable("  " + "/".join(path.parts[-3:]))
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        console.print(f"{name}  up to date", highlight=False, markup=False)
    elif check:
        console.print(f"{name}  differs from the code; run: python -m pipelines compile", highlight=False, markup=False)
        return False
    else:
        output_folder(path.parent)
        write_atomically(path, text)
        console.print(f"{name}  written", highlight=False, markup=False)
    return True


def cluster_of(profile_name: str) -> Cluster:
    """The cluster of a profile.

    Raises:
        InputError: No such profile, or it is one for a laptop.
    """
    cluster = load_profile(profile_name).cluster
    if cluster is None:
        raise InputError(
            f"profile {profile_name}: it has no cluster section, so it is only for this machine; see profiles/8x80gb.yaml"
        )
    return cluster


def require_digests(pins: Path) -> None:
    """Check that every image is named by digest, because a tag may later point to another image.

    Raises:
        InputError: One is not; names it.
    """
    for name, reference in yaml.safe_load(pins.read_text(encoding="utf-8")).items():
        if not _DIGEST.search(str(reference)):
            raise InputError(
                f"{pins.name}: {name}: {reference} has no digest; a release needs REGISTRY/NAME@sha256:..., which the "
                "publish workflow writes"
            )


def arguments_for(pipeline_name: str, profile_name: str, settings: Mapping[str, Any]) -> tuple[Pipeline, dict[str, Any]]:
    """A pipeline and its arguments for a run on a cluster.

    Args:
        pipeline_name: Name of the pipeline.
        profile_name: Profile whose cluster and parameters to take.
        settings: `--set` values.

    Returns:
        The pipeline, and a checked value for each parameter.

    Raises:
        InputError: Unknown pipeline, profile, parameter or recipe, or values that cannot work.
    """
    pipeline = find_pipeline(pipeline_name)
    cluster = cluster_of(profile_name)
    arguments = arguments_of(pipeline, load_profile(profile_name), settings)
    refuse_home_folders(arguments)
    refuse_places_in_pods(arguments, cluster.claim, cluster.mount_path)
    with overrides_named(profile_name, settings):
        check_settings(pipeline.request(arguments), cluster)
    return pipeline, arguments


def temporary_package(pipeline: Pipeline, cluster: Cluster, backend: Backend) -> Path:
    """The compiled pipeline in a file that is deleted when this process ends."""
    folder = tempfile.mkdtemp(prefix="globe-package-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / f"{pipeline.name}.yaml"
    path.write_text(compiled_text(pipeline, cluster, backend), encoding="utf-8")
    return path
