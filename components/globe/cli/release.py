"""`globe deploy` and `globe publish`: serve a checkpoint under a name that stays, and put one into a registry of images."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, RecipeName, some_path
from globe.console import emit, tell, to_json
from globe.errors import InputError

if TYPE_CHECKING:
    from globe.evaluation.released import Servers
    from globe.run.cluster import Cluster
    from globe.serving.release import Wanted

SCHEDULE_TIMEOUT_S = 600.0
"""Less than a run waits: somebody is watching."""
PROFILE_FIELDS = ("title", "parameters", "cluster", "containers")
"""Of the profiles of runs; the last is for runs on this machine."""
ALMOST = 0.85
"""How alike two names are of which one is taken for the other, misspelt."""
_TAINT = re.compile(r"[^=:]+(=[^=:]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?")


def deploy(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A path on the claim as pods see it, an s3:// or an oci:// address.")
    ] = "",
    name: Annotated[
        str,
        typer.Option(help="The name that stays: of the Service, and of the model for clients [release.name of --cluster]."),
    ] = "",
    namespace: Annotated[str, typer.Option(help="Namespace [that of --cluster, or the kubeconfig's].")] = "",
    image: Annotated[str, typer.Option(help="The serve image, by digest [server_image in the file of --cluster].")] = "",
    replicas: Annotated[int | None, typer.Option(min=1, help="How many pods [as many as there are, or 1].")] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of each pod [serving_gpus of --cluster, or as the recipe splits the model].")
    ] = None,
    node_selector: Annotated[
        list[str] | None,
        typer.Option("--node-selector", metavar="LABEL=VALUE", help="Nodes for the pods [node_selectors.serving of --cluster]."),
    ] = None,
    toleration: Annotated[
        list[str] | None,
        typer.Option(
            "--toleration", metavar="KEY[=VALUE][:EFFECT]", help="A taint that they tolerate [tolerations of --cluster]."
        ),
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            parser=some_path,
            metavar="FILE",
            help="A profile, whose runs' servers have the same recipe and nodes, or cluster settings alone.",
        ),
    ] = None,
    recipe: RecipeName = "",
    settings: Overrides = None,
    max_precision: Annotated[str, typer.Option(help="The finest that is told to anybody: country, region or city [city].")] = "",
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Whoever the network policy lets through may ask.")
    ] = False,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Replace pod by pod, where there is no room for both; one replica is down meanwhile."),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Also wait until the old pods have ended.")] = False,
    schedule_timeout_s: Annotated[
        float | None,
        typer.Option("--schedule-timeout", min=1, help="Seconds to wait for a node [600, or as the file of --cluster says]."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the manifests as YAML, and ask no cluster.")] = False,
    rollback: Annotated[
        str, typer.Option("--rollback", metavar="NAME", help="Serve the release before the present one again.")
    ] = "",
    remove: Annotated[str, typer.Option("--remove", metavar="NAME", help="Remove all that was made for a name.")] = "",
    list_all: Annotated[bool, typer.Option("--list", help="List the released models.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Serve a checkpoint in a cluster under a name that stays.

    The new pods come up beside the old ones, which takes room for both; when each has answered a picture, the name moves to them,
    and the old ones end once they have answered what they were asked. If they do not come up they are removed and the old ones
    go on. The same call again changes nothing.
    """
    if sum(map(bool, (checkpoint, rollback, remove, list_all))) != 1:
        raise InputError("give one of CHECKPOINT, --rollback NAME, --remove NAME and --list")
    given = {"name": name, "replicas": replicas, "max_precision": max_precision}
    given |= {"without_keys": without_keys, "in_place": in_place}
    timeout_s = schedule_timeout_s or (None if cluster else SCHEDULE_TIMEOUT_S)
    ours, parameters = _read(cluster)
    where = _cluster(ours, {"server_image": image, "namespace": namespace, "server_schedule_timeout_s": timeout_s}, given)
    if checkpoint:
        servers = _servers(parameters, recipe, gpus, node_selector or [], toleration or [])
        made = _wanted(checkpoint, where, servers, settings or [], gpus)
        if dry_run:
            return emit([_yaml(made)])
        return _release(made, where, as_json, wait=wait)
    from globe.serving.kube import connect
    from globe.serving.release import Releases

    releases = Releases(connect(where.namespace), tell)
    if list_all:
        rows = releases.rows()
        if as_json:
            emit([to_json([vars(row) for row in rows])])
        else:
            emit(
                f"{row.name}  {row.ready} of {row.replicas} ready  release {row.version}  {row.checkpoint}"
                + (f"  (before: {row.kept})" if row.kept else "")
                for row in rows
            )
            if not rows:
                emit([f"no released model is in namespace {releases.kube.namespace}"])
    elif rollback:
        version = releases.roll_back(rollback, (1800.0, where.server_schedule_timeout_s), wait=wait)
        emit([to_json({"name": rollback, "version": version}) if as_json else f"{rollback} serves release {version} again"])
    else:
        removed = releases.remove(remove)
        emit([to_json({"name": remove, "removed": removed})] if as_json else (f"removed {one}" for one in removed))


def _release(made: Wanted, cluster: Cluster, as_json: bool, *, wait: bool) -> None:
    from globe.serving.kube import connect
    from globe.serving.release import Releases

    releases = Releases(connect(cluster.namespace), tell)
    changed = releases.release(made, in_place=cluster.release.in_place, wait=wait)
    host = f"http://{made.name}.{releases.kube.namespace}.svc.cluster.local:8080"
    if as_json:
        emit([to_json({"name": made.name, "version": made.version, "changed": changed, "url": f"{host}/v1"})])
    else:
        emit([f"{made.name} serves release {made.version}{'' if changed else ', as before'}: {host}/v1"])


def _read(file: Path | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cluster settings of a file and, if it is a profile, its parameters."""
    from globe.recipes.load import read_yaml

    try:
        content: Any = read_yaml(file) if file else {}
    except InputError as error:
        raise InputError(f"--cluster {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"--cluster {file}: give the settings as NAME: VALUE lines")
    if "cluster" not in content:
        if "parameters" in content:
            raise InputError(f"--cluster {file}: a profile without `cluster`, for runs on this machine; give a cluster's")
        return content, {}
    if unknown := [str(name) for name in content if name not in PROFILE_FIELDS]:
        raise InputError(f"--cluster {file}: {unknown[0]}: a profile has {', '.join(PROFILE_FIELDS)}")
    parts = content["cluster"], content.get("parameters", {})
    if not all(isinstance(part, dict) for part in parts):
        raise InputError(f"--cluster {file}: give `cluster` and `parameters` as NAME: VALUE lines")
    return parts


def _cluster(settings: dict[str, Any], given: dict[str, Any], release: dict[str, Any]) -> Cluster:
    """The settings of a file, replaced by what was given on the command line; what is empty was not given."""
    from typing import get_args

    from globe.recipes.load import validate
    from globe.run.cluster import Cluster, Precision, Release

    if release["max_precision"] not in ("", *get_args(Precision)):
        raise InputError(f"--max-precision {release['max_precision']!r}: {', '.join(get_args(Precision))}")

    cluster = validate(Cluster, settings | _set(given), "--cluster")
    return cluster.model_copy(update={"release": validate(Release, cluster.release.model_dump() | _set(release), "--", joint="")})


def _set(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value}


def _servers(parameters: dict[str, Any], recipe: str, gpus: int | None, labels: list[str], taints: list[str]) -> Servers:
    """A profile's parameters about servers, replaced by what was given on the command line."""
    from globe.evaluation.released import Servers
    from globe.recipes.load import validate
    from globe.run.preflight import check_names

    for name in sorted(parameters.keys() - Servers.model_fields.keys()):  # the pipelines' others are not known here
        if meant := get_close_matches(str(name), Servers.model_fields, 1, ALMOST):
            raise InputError(f"--cluster: parameters.{name}: did you mean {meant[0]}?")
    profile = validate(Servers, parameters, "--cluster: parameters.", joint="")
    check_names(profile.recipes, profile.node_selectors, profile.overrides, "--cluster: parameters.")
    given: dict[str, Any] = {"recipes": {"serving": recipe}} if recipe else {}
    given |= {} if gpus is None else {"serving_gpus": gpus}
    given |= {"node_selectors": {"serving": _labels(labels)}} if labels else {}
    given |= {"tolerations": [_toleration(text) for text in taints]} if taints else {}
    return profile.model_copy(update=given)


def _labels(texts: list[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--node-selector {text!r}: write it as LABEL=VALUE")
        if labels.setdefault(name, value) != value:
            raise InputError(f"--node-selector {text!r}: no node has {name}={labels[name]} as well; give a label once")
    return labels


def _toleration(text: str) -> dict[str, str]:
    """What tolerates a taint, which is written as `kubectl taint` writes it. Without a key, it would be every taint."""
    if not _TAINT.fullmatch(text):
        raise InputError(
            f"--toleration {text!r}: write it as KEY[=VALUE][:EFFECT]; effects are NoSchedule, PreferNoSchedule and NoExecute"
        )
    taint, _, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    which = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **which} | ({"effect": effect} if effect else {})


def _wanted(checkpoint: str, cluster: Cluster, servers: Servers, settings: list[str], gpus: int | None) -> Wanted:
    from globe.evaluation.released import opened, planned
    from globe.recipes.load import parse_overrides

    policy = opened(checkpoint, tell)
    recipe, why = servers.recipe(policy, parse_overrides(settings))
    tell(f"served with {why}")
    if gpus not in (None, 0, recipe.tensor_parallel_size):
        raise InputError(f"--gpus {gpus}: the recipe splits the model over {recipe.tensor_parallel_size}; --set changes that")
    return planned(policy, recipe, servers.place(recipe, cluster), tell)


def _yaml(made: Wanted) -> str:
    import yaml

    from globe.serving.release import pod_labels

    deployment = made.at(made.version)
    deployment["spec"]["replicas"] = made.replicas or 1
    services = [one | {"spec": one["spec"] | {"selector": pod_labels(made.name, made.version)}} for one in made.services]
    return yaml.safe_dump_all([*made.others, deployment, *services], sort_keys=False)


def publish(
    checkpoint: Annotated[Path, typer.Argument(parser=some_path, metavar="CHECKPOINT", help="Folder of a checkpoint or model.")],
    oci: Annotated[str, typer.Option("--oci", metavar="REGISTRY/NAME:TAG", help="Where to push it; oci:FOLDER writes a layout.")],
    architecture: Annotated[str, typer.Option(help="Of the nodes that mount it, as Kubernetes names it.")] = "amd64",
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Ask the registry by http; one on this machine always is.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a checkpoint into a registry, for pods to mount.

    It becomes an image with its files below /models. Each file is compared with the checkpoint's manifest first. The same files
    always make the same digest. Credentials are those of `docker login`.
    """
    from globe.console import waiting
    from globe.models.checkpoints import open_model
    from globe.models.oci import MANIFEST_TYPE, image_of, write_layout
    from globe.storage.registry import Registry, reference

    folder = oci.removeprefix("oci:") if oci.startswith("oci:") else ""
    to = None if folder else reference(oci)
    opened = open_model(checkpoint)
    if not opened.files:
        tell(f"{checkpoint}: has no manifest, so there is nothing to compare its files with")
    with waiting("reading the checkpoint"):
        image = image_of(opened, architecture)
    size = sum(blob.size for blob in image.blobs)
    if to is None:
        write_layout(image, some_path(folder))
        place, sent = f"oci:{folder}@{image.digest}", size
    else:
        with waiting(f"pushing to {to.host}"):
            sent = Registry(to, plain_http, tell).push(image.blobs, image.manifest, MANIFEST_TYPE, image.digest)
        place = f"{to}@{image.digest}"
    if as_json:
        emit([to_json({"image": place, "digest": image.digest, "bytes": size, "sent_bytes": sent})])
        return
    emit([place])
    tell(f"{size / 1e9:.2f} GB, of which {sent / 1e9:.2f} GB were new")
    if to:
        tell(f"in manifests/serving/overlays/oci/settings.yaml: checkpoint: {place}   or: globe deploy oci://{place} --name NAME")


COMMANDS = (deploy, publish)
