"""Run each stage of a local run in its own container, from its own image: `python -m pipelines run PROFILE --runner docker`.

KFP's DockerRunner starts containers that remove themselves, then asks for their exit code; if the engine is faster, it takes
"not found" for success, and a failed stage passes (kubeflow/pipelines#13332). It also gives all tasks the same settings. So the
handler that starts a task's container is ours, and everything above it is KFP's.
"""

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
from globe.curation.recipe import API_KEY_VARIABLE
from globe.data.named import DATASETS_VARIABLE
from globe.errors import InputError
from globe.keys import SERVER_KEY, TEACHER_KEY
from globe.run.cluster import SERVER_KEY_VARIABLE, WEBHOOK_VARIABLES
from globe.run.events import EVENTS_VARIABLE, LOGS_VARIABLE
from globe.run.stage import REDO_VARIABLE, RUN_VARIABLE
from globe.serving.process import SERVERS_VARIABLE
from globe.serving.requested import REQUESTED_VARIABLE
from globe.signing import KEY_VARIABLE, SIGNED_VARIABLE
from pipelines.local.container_settings import Containers, Limit

USER_ID = 1001
RUN_LABEL = "globe.dev/run"
OWNER_LABEL = "globe.dev/owner-pid"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
PASSED_ON = (
    *(EVENTS_VARIABLE, LOGS_VARIABLE, SERVERS_VARIABLE, RUN_VARIABLE, REDO_VARIABLE, "PYTHONUNBUFFERED", "NO_COLOR"),
    *(API_KEY_VARIABLE, SERVER_KEY_VARIABLE, TEACHER_KEY.hosts_variable, SERVER_KEY.hosts_variable),
    *(DATASETS_VARIABLE, *storage.VARIABLES),
    *(KEY_VARIABLE, SIGNED_VARIABLE),
    *(*PROXIES, *(name.lower() for name in PROXIES)),
)
"""The variables of this process's environment that a stage in a container gets; the rest are set by its image."""
FOR_STAGES = {"teardown": WEBHOOK_VARIABLES}
"""Those that only some stages get, as on a cluster."""
FUNCTION_OPTION = "--function_to_execute"
"""How KFP's executor is told which component to run."""


@dataclass
class Engine:
    """A container engine, and what all containers of a run have in common."""

    settings: Containers
    run: str
    folders: list[Path]
    """Host folders that every container sees at the same path: the run's folder and the store."""
    inputs: list[Path] = field(default_factory=list)
    """Host files and folders that containers may read: photos, models."""

    def __post_init__(self) -> None:
        """Connect."""
        self.client = docker.from_env()
        self.started: set[str] = set()
        self._lock = threading.Lock()

    def start(self, reference: str, command: list[str], limit: Limit, name: str, **environment: str) -> Any:
        """Start a container without privileges: an ordinary user, a read-only root, no capabilities.

        Args:
            reference: Image.
            command: Command line.
            limit: What it may use.
            name: Stage or server, as a label.
            **environment: Variables besides those that all containers have.

        Returns:
            The container.
        """
        container = self.client.containers.create(
            reference,
            command,
            labels={RUN_LABEL: self.run, OWNER_LABEL: str(os.getpid()), "globe.dev/stage": name},
            environment=passed_on(os.environ, name) | {REQUESTED_VARIABLE: "1"} | environment,
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
            mounts=self._mounts(),
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

    def _mounts(self) -> list[Mount]:
        shared = [Mount(str(path), str(path), type="bind") for path in self.folders]
        return shared + [Mount(str(path), str(path), type="bind", read_only=True) for path in self.inputs]


def passed_on(environment: Mapping[str, str], stage: str) -> dict[str, str]:
    """The part of an environment that a stage's container gets."""
    names = (*PASSED_ON, *FOR_STAGES.get(stage, ()))
    return {name: environment[name] for name in names if name in environment}


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
            return status.Status.FAILURE if code else status.Status.SUCCESS

    docker_task_handler.DockerTaskHandler = Handler


def _stage(command: list[str]) -> str:
    return command[command.index(FUNCTION_OPTION) + 1] if FUNCTION_OPTION in command else ""


def _run(engine: Engine, reference: str, command: list[str], stage: str, environment: Mapping[str, str]) -> int:
    """Run a container to its end, print what it says, and return its real exit code."""
    container = engine.start(reference, command, engine.settings.limit(stage), stage, **environment)
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
