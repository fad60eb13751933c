"""The process in which KFP runs a pipeline locally: `python -m pipelines.local.worker RUN_FOLDER`."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from globe.run.events import LOGS_VARIABLE
from globe.run.processes import adopt_orphans, end_descendants, end_with_parent
from globe.serving.process import SERVERS_VARIABLE
from globe.storage.uris import SCRATCH_VARIABLE

JOB_FILE = "job.json"
TERMINATED = 128 + signal.SIGTERM
_on_termination: list[Callable[[], None]] = []


def main() -> None:
    """Run the pipeline that the run's folder names, with its arguments; exit with 0 if KFP says that it succeeded."""
    signal.signal(signal.SIGTERM, _terminate)
    adopt_orphans()
    end_with_parent()
    folder = Path(sys.argv[1])

    from kfp import local  # after the handlers: its import takes a while, in which the parent may die

    from pipelines.catalog import PIPELINES

    job = json.loads((folder / JOB_FILE).read_text())
    in_containers = job["containers"] is not None
    runner = local.DockerRunner() if in_containers else local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=str(folder / "kfp"), raise_on_error=True)
    pipeline = PIPELINES[job["pipeline"]].build()
    with containers_of(job, folder) if in_containers else nullcontext():
        try:
            pipeline(**job["arguments"])
        finally:
            end_descendants()


@contextmanager
def containers_of(job: dict[str, Any], folder: Path) -> Iterator[None]:
    """Let KFP run each task in a container, and end all of them with this process."""
    from pipelines.local.containers import Containers, Engine, use_containers
    from pipelines.local.server_containers import ServerContainers

    store = Path(job["arguments"]["store"])
    inputs = [Path(path) for path in job["inputs"]]
    scratch = store.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    os.environ[SCRATCH_VARIABLE] = str(scratch)
    engine = Engine(Containers.model_validate(job["containers"]), folder.name, [folder, store, scratch], inputs)
    if not os.getuid():  # as root, because the containers run as another user
        os.umask(0o002)
        for path in (folder, store, scratch, *folder.iterdir()):
            os.chmod(path, 0o2775 if path.is_dir() else 0o664)
    use_containers(engine)
    servers = ServerContainers(engine, Path(os.environ[SERVERS_VARIABLE]), Path(os.environ[LOGS_VARIABLE]))
    servers.start()
    _on_termination.append(engine.remove_all)
    try:
        yield
    finally:
        servers.finish()
        engine.remove_all()


def _terminate(*_: object) -> None:
    for end in _on_termination:
        end()
    end_descendants()
    os._exit(TERMINATED)


if __name__ == "__main__":
    main()
