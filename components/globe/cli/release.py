"""`globe deploy` and `globe publish`: serve a checkpoint under a name that stays, and put one into a registry of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from globe.cli.options import JsonFlag, Overrides, RecipeName, some_path
from globe.console import emit, tell, to_json
from globe.errors import InputError

if TYPE_CHECKING:
    from globe.run.cluster import Cluster
    from globe.serving.release import Wanted


def deploy(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A path on the claim as pods see it, an s3:// or an oci:// address.")
    ] = "",
    name: Annotated[str, typer.Option(help="The name that stays: of the Service, and of the model for clients.")] = "",
    namespace: Annotated[str, typer.Option(help="Namespace [the kubeconfig's].")] = "",
    image: Annotated[str, typer.Option(help="The serve image, by digest [server_image in the file of --cluster].")] = "",
    replicas: Annotated[int | None, typer.Option(min=1, help="How many pods [as many as there are, or 1].")] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of each pod [as many as the recipe splits the model over].")
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(parser=some_path, metavar="FILE", help="Cluster settings, as in a profile: claim, sizes, images."),
    ] = None,
    recipe: RecipeName = "",
    settings: Overrides = None,
    max_precision: Annotated[str, typer.Option(help="The finest that is told to anybody: country, region or city.")] = "city",
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="Whoever the network policy lets through may ask.")
    ] = False,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Replace pod by pod, where there is no room for both; one replica is down meanwhile."),
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Also wait until the old pods have ended.")] = False,
    schedule_timeout_s: Annotated[float, typer.Option("--schedule-timeout", min=0, help="Seconds to wait for a node.")] = 600.0,
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
    if checkpoint:
        made = _wanted(
            checkpoint,
            _cluster(cluster, image, namespace),
            {"name": name, "replicas": replicas, "max_precision": max_precision, "without_keys": without_keys}
            | {"schedule_timeout_s": schedule_timeout_s},
            gpus,
            (recipe, settings),
        )
        if dry_run:
            return emit([_yaml(made)])
        return _release(made, namespace, as_json, in_place=in_place, wait=wait)
    from globe.serving.kube import connect
    from globe.serving.release import Releases

    releases = Releases(connect(namespace), tell)
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
        version = releases.roll_back(rollback, (1800.0, schedule_timeout_s), wait=wait)
        emit([to_json({"name": rollback, "version": version}) if as_json else f"{rollback} serves release {version} again"])
    else:
        removed = releases.remove(remove)
        emit([to_json({"name": remove, "removed": removed})] if as_json else (f"removed {one}" for one in removed))


def _release(made: Wanted, namespace: str, as_json: bool, *, in_place: bool, wait: bool) -> None:
    from globe.serving.kube import connect
    from globe.serving.release import Releases

    releases = Releases(connect(namespace), tell)
    changed = releases.release(made, in_place=in_place, wait=wait)
    host = f"http://{made.name}.{releases.kube.namespace}.svc.cluster.local:8080"
    if as_json:
        emit([to_json({"name": made.name, "version": made.version, "changed": changed, "url": f"{host}/v1"})])
    else:
        emit([f"{made.name} serves release {made.version}{'' if changed else ', as before'}: {host}/v1"])


def _cluster(file: Path | None, image: str, namespace: str) -> Cluster:
    import yaml

    from globe.recipes.load import validate
    from globe.run.cluster import Cluster

    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"--cluster {file}: cannot be read ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise InputError(f"--cluster {file}: give the settings as NAME: VALUE lines")
    given = {"server_image": image} if image else {}
    return validate(
        Cluster, content.get("cluster", content) | given | ({"namespace": namespace} if namespace else {}), "--cluster"
    )


def _wanted(checkpoint: str, cluster: Cluster, asked: dict[str, Any], gpus: int | None, recipe: tuple[str, Any]) -> Wanted:
    import re

    from globe.evaluation.usage import serving_recipe
    from globe.models.checkpoints import Checkpoint, open_model
    from globe.recipes.load import parse_overrides
    from globe.serving.release_manifest import Asked, wanted

    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", asked["name"]):
        raise InputError(f"--name {asked['name']!r}: up to 40 of a-z, 0-9 and -, with a letter first")
    if asked["max_precision"] not in ("country", "region", "city"):
        raise InputError(f"--max-precision {asked['max_precision']!r}: country, region or city")
    here = checkpoint.startswith("/") and Path(checkpoint).is_dir()
    opened = open_model(Path(checkpoint)) if here else Checkpoint(checkpoint, "", "", "", "", 0)
    loaded, why = serving_recipe(opened, recipe[0], parse_overrides(recipe[1] or []))
    tell(f"served with {why}")
    count = loaded.tensor_parallel_size if gpus is None else gpus
    if count not in (0, loaded.tensor_parallel_size):
        raise InputError(f"--gpus {count}: the recipe splits the model over {loaded.tensor_parallel_size}; --set changes that")
    return wanted(Asked(gpus=count, **asked), opened, loaded, cluster)


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
