"""Run each stage of a local run in its own container, from its own image: `python -m pipelines run PROFILE --runner docker`.

KFP's DockerRunner starts containers that remove themselves, then asks for their exit code; if the engine is faster, it takes
"not found" for success, and a failed stage passes (kubeflow/pipelines#13332). It also gives all tasks the same settings. So the
handler that starts a task's container is ours, and everything above it is KFP's.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.types import Mount, Ulimit
from kfp.local import docker_task_handler, status

from components.images import NAMES, image
from globe import storage
from globe.data.named import DATASETS_VARIABLE
from globe.errors import InputError
from globe.run.cluster import Cluster
from globe.run.events import EVENTS_VARIABLE, LOGS_VARIABLE
from globe.run.stage import REDO_VARIABLE, RUN_VARIABLE
from globe.serving.process import SERVERS_VARIABLE
from globe.serving.requested import REQUESTED_VARIABLE
from globe.signing import KEY_VARIABLE, SIGNED_VARIABLE
from pipelines.local.container_settings import Containers, Limit
from pipelines.local.left import open_left

USER_ID = 1001
SERVER = "server"
RUN_LABEL = "globe.dev/run"
OWNER_LABEL = "globe.dev/owner-pid"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PASSED_ON = (
    *(EVENTS_VARIABLE, LOGS_VARIABLE, SERVERS_VARIABLE, RUN_VARIABLE, REDO_VARIABLE, "PYTHONUNBUFFERED", "NO_COLOR"),
    *(DATASETS_VARIABLE, *storage.VARIABLES),
    *(KEY_VARIABLE, SIGNED_VARIABLE),
    *(*PROXIES, *(name.lower() for name in PROXIES)),
)
"""The variables of this process's environment that all stages in containers get; the rest are set by their images."""
ONLY_FOR = {key: secret.stages for secret in Cluster().secrets if secret.stages for key in secret.keys}
"""Those that only some stages get, as on a cluster."""
FOR_SERVERS = ("PYTHONUNBUFFERED", "NO_COLOR")
"""All that a server's container gets of this process's environment: it asks nobody, so it needs no key and no proxy."""
FUNCTION_OPTION = "--function_to_execute"
"""How KFP's executor is told which component to run."""
INPUT_OPTION = "--executor_input"
"""And with what; it names the files of its outputs."""
MOST_OUTPUT_BYTES = 64 << 20


@dataclass
class Engine:
    """A container engine, and what all containers of a run have in common."""

    settings: Containers
    run: str
    folders: list[Path]
    """Host files and folders that every stage sees at the same path, and may write to: the run's and the store."""
    inputs: list[Path] = field(default_factory=list)
    """Host files and folders that stages may only read: photos, models, the records of servers."""
    uses_s3: bool = True
    """Whether something of the run lies on S3: else no stage gets the keys to it."""

    def __post_init__(self) -> None:
        """Connect."""
        self.client = docker.from_env()
        self.started: set[str] = set()
        self._lock = threading.Lock()

    def start_stage(self, reference: str, command: list[str], name: str, environment: Mapping[str, str]) -> Any:
        """Start a stage's container, which sees the run's folders.

        Args:
            reference: Image.
            command: Command line.
            name: The stage.
            environment: Variables besides those that all of its containers have.

        Returns:
            The container.
        """
        given = passed_on(os.environ, name, self.uses_s3) | {REQUESTED_VARIABLE: "1"} | dict(environment)
        return self._start(reference, command, self.settings.limit(name), name, given, mounts(self.folders, self.inputs))

    def start_server(self, command: list[str], name: str, environment: Mapping[str, str], reads: Iterable[Path]) -> Any:
        """Start a server's container, which sees what it serves, and nothing else of the run.

        Args:
            command: Command line.
            name: The model's name.
            environment: Variables of the server.
            reads: What it may read.

        Returns:
            The container.
        """
        given = {name: os.environ[name] for name in FOR_SERVERS if name in os.environ} | dict(environment)
        image_of_servers, limit = self.settings.image("serve"), self.settings.limit(SERVER)
        return self._start(image_of_servers, command, limit, f"{SERVER}-{name}", given, mounts([], reads))

    def _start(
        self, reference: str, command: list[str], limit: Limit, name: str, environment: dict[str, str], seen: list[Mount]
    ) -> Any:
        """Start a container without privileges: an ordinary user, a read-only root, no capabilities."""
        container = self.client.containers.create(
            reference,
            command,
            labels={RUN_LABEL: self.run, OWNER_LABEL: str(os.getpid()), "globe.dev/stage": name},
            environment=environment,
            user=f"{os.getuid() or USER_ID}:0",
            read_only=True,
            tmpfs={"/tmp": "mode=1777,exec"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network_mode="host",
            ulimits=[Ulimit(name="nofile", soft=20_000, hard=20_000)],
            mem_limit=limit.memory,
            nano_cpus=int(limit.cpus * 1e9),
            shm_size=limit.shm,
            mounts=seen,
        )
        with self._lock:
            self.started.add(container.id)
        container.start()
        return container

    def remove(self, container: Any) -> None:
        """End and remove a container; it may be gone already."""
        with self._lock:
            self.started.discard(container.id)
        try:
            container.remove(force=True)
        except docker.errors.NotFound:
            return

    def remove_all(self) -> None:
        """End and remove everything of this run."""
        for container in self.client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={self.run}"}):
            self.remove(container)


def passed_on(environment: Mapping[str, str], stage: str, uses_s3: bool = True) -> dict[str, str]:
    """The part of an environment that a stage's container gets.

    Args:
        environment: Of this process.
        stage: The stage.
        uses_s3: Whether something of the run lies on S3.
    """
    names = {*PASSED_ON, *(name for name, stages in ONLY_FOR.items() if stage in stages)}
    return {name: environment[name] for name in names - (set() if uses_s3 else {*storage.S3_VARIABLES}) if name in environment}


def mounts(written: Iterable[Path], read: Iterable[Path]) -> list[Mount]:
    """Host files and folders as a container sees them, at the same path; one within another has its own mode."""
    modes = dict.fromkeys(map(str, written), False) | dict.fromkeys(map(str, read), True)
    return [Mount(path, path, type="bind", read_only=modes[path]) for path in sorted(modes)]  # a folder before what is in it


def check_engine(settings: Containers, names: Iterable[str]) -> None:
    """Check that there is an engine with the images, and remove containers that killed runs have left in it.

    Args:
        settings: Which images to use.
        names: Names of the images that the run needs.

    Raises:
        InputError: No engine, or an image is missing.
    """
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise InputError(f"--runner docker: no container engine answers ({error}); start one, or set DOCKER_HOST") from error
    for name in names:
        reference = settings.image(name)
        try:
            client.images.get(reference)
        except docker.errors.ImageNotFound:
            raise InputError(f"--runner docker: image {reference} is not there; build it: make images VARIANT=cpu") from None
    for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}):
        if not Path("/proc", container.labels[OWNER_LABEL]).exists():
            container.remove(force=True)


def use_containers(engine: Engine) -> None:
    """Make KFP's local runner start each task through our engine."""
    names = {image(name): name for name in NAMES}

    class Handler(docker_task_handler.DockerTaskHandler):
        def run(self) -> status.Status:
            stage = _stage(self.full_command)
            reference = engine.settings.image(names[self.image])
            code = _run(engine, reference, list(self.full_command), stage, self.env_vars)
            odd = "" if code else odd_output(list(self.full_command), Path(self.pipeline_root))
            if odd:
                print(f"outputs of {stage} are not read: {odd}")
            return status.Status.FAILURE if code or odd else status.Status.SUCCESS

    docker_task_handler.DockerTaskHandler = Handler


def odd_output(command: list[str], root: Path) -> str:
    """Why the outputs that a stage has left for KFP should not be read by this process; empty for what KFP's executor writes.

    Args:
        command: The stage's command line.
        root: The folder where all outputs lie.
    """
    outputs = json.loads(command[command.index(INPUT_OPTION) + 1])["outputs"]
    named = [outputs["outputFile"], *(one["outputFile"] for one in outputs.get("parameters", {}).values())]
    for path in filter(os.path.lexists, named):
        try:
            with open_left(Path(path)) as file:
                if not Path(path).resolve().is_relative_to(root.resolve()):
                    return f"{path!a} leads out of the run"
                if os.fstat(file.fileno()).st_size > MOST_OUTPUT_BYTES:
                    return f"{path!a} is over {MOST_OUTPUT_BYTES} bytes"
        except OSError as error:
            return f"{path!a} cannot be read ({error.strerror})"
    return ""


def _stage(command: list[str]) -> str:
    return command[command.index(FUNCTION_OPTION) + 1] if FUNCTION_OPTION in command else ""


def _run(engine: Engine, reference: str, command: list[str], stage: str, environment: Mapping[str, str]) -> int:
    """Run a container to its end, print what it says, and return its real exit code."""
    container = engine.start_stage(reference, command, stage, environment)
    try:
        for chunk in container.logs(stream=True, follow=True):
            print(chunk.decode(errors="replace"), end="")
        code = int(container.wait()["StatusCode"])
        container.reload()
        if code:
            limit = engine.settings.limit(stage).memory
            reason = f": out of memory, its limit is {limit}" if container.attrs["State"].get("OOMKilled") else ""
            print(f"\ncontainer of {stage} ({reference}) ended with exit code {code}{reason}")
        return code
    finally:
        engine.remove(container)
