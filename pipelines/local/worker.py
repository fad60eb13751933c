"""The process in which KFP runs a pipeline locally: `python -m pipelines.local.worker RUN_FOLDER`."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from globe.data.named import DATASETS_VARIABLE
from globe.run.events import EVENTS_VARIABLE, LOGS_VARIABLE
from globe.run.processes import adopt_orphans, end_descendants, end_with_parent
from globe.serving.process import SERVERS_VARIABLE
from globe.serving.requested import RECORDS
from globe.storage.uris import SCHEME, SCRATCH_VARIABLE

JOB_FILE = "job.json"
KFP = "kfp"
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
    local.init(runner, pipeline_root=str(folder / KFP), raise_on_error=True)
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
    os.environ[SCRATCH_VARIABLE] = str(scratch)
    if not os.getuid():  # as root, because the containers run as another user
        os.umask(0o002)
    # Stages see these and not the run's folder: in that, this machine's own processes write.
    requests, events = Path(os.environ[SERVERS_VARIABLE]), Path(os.environ[EVENTS_VARIABLE])
    written = [folder / KFP, Path(os.environ[LOGS_VARIABLE]), requests, store, scratch]
    records = requests / RECORDS
    for path in (*written, records):
        path.mkdir(parents=True, exist_ok=True)
    events.touch()
    if not os.getuid():
        for path in (*written, events):
            os.chmod(path, 0o2775 if path.is_dir() else 0o664)
    settings = Containers.model_validate(job["containers"])
    engine = Engine(settings, folder.name, [*written, events], [*inputs, records], is_on_s3(job["arguments"], os.environ))
    use_containers(engine)
    servers = ServerContainers(engine, requests, models=[store, scratch, *inputs])
    servers.start()
    _on_termination.append(engine.remove_all)
    try:
        yield
    finally:
        servers.finish()
        engine.remove_all()


def is_on_s3(arguments: dict[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether something that a run reads or writes lies on S3.

    Args:
        arguments: The pipeline's.
        environment: Where the user's data sets may be named.
    """
    return SCHEME in json.dumps(arguments) or environment.get(DATASETS_VARIABLE, "").startswith(SCHEME)


def _terminate(*_: object) -> None:
    for end in _on_termination:
        end()
    end_descendants()
    os._exit(TERMINATED)


if __name__ == "__main__":
    main()
