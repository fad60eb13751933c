"""Stages in real containers: their exit codes, what they may do, what is left of them. Needs an engine and the images."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

docker = pytest.importorskip("docker")

from kfp import dsl, local  # noqa: E402

from components.images import image  # noqa: E402
from globe.errors import InputError  # noqa: E402
from pipelines.local.container_settings import Containers, Limit  # noqa: E402
from pipelines.local.containers import RUN_LABEL, Engine, check_engine, use_containers  # noqa: E402
from pipelines.profile import load_profile  # noqa: E402

ROOT = Path(__file__).parents[2]
SETTINGS = load_profile("smoke").containers


def reason_to_skip() -> str:
    try:
        check_engine(SETTINGS, ["evaluate", "curation"])
    except InputError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip() or "there is an engine")]


@dsl.component(base_image=image("evaluate"), packages_to_install=[], install_kfp_package=False)
def obey(what: str) -> str:
    import os
    import sys

    if what == "exit 7":
        sys.exit(7)
    if what == "eat memory":
        return str(len(bytearray(900 * 2**20)))
    if what == "write to the root":
        with open("/opt/file", "w") as file:
            file.write("x")
    with open("/proc/self/status") as file:
        (capabilities,) = (line.split()[1] for line in file if line.startswith("CapEff"))
    return f"{os.getuid()}:{os.getgid()} {int(capabilities, 16)}"


@pytest.fixture
def run(tmp_path):
    """Runs `obey` through KFP's local runner, in a container of ours."""
    from kfp.local import docker_task_handler

    handler = docker_task_handler.DockerTaskHandler
    before = os.umask(0o002)
    if os.getuid():
        os.umask(before)
    else:
        tmp_path.chmod(0o2775)
    settings = Containers(images=SETTINGS.images, limits={"obey": Limit(memory="300m", cpus=1)})
    engine = Engine(settings, f"test-{os.getpid()}", [tmp_path])
    use_containers(engine)
    local.init(local.DockerRunner(), pipeline_root=str(tmp_path / "kfp"))
    yield lambda what: obey(what=what)
    os.umask(before)
    docker_task_handler.DockerTaskHandler = handler
    assert engine.client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={engine.run}"}) == []


def test_a_stage_is_an_ordinary_user_without_capabilities(run):
    user, capabilities = run("say").output.split()
    assert user.split(":")[0] != "0"
    assert user.endswith(":0")
    assert capabilities == "0"


def test_a_stage_that_fails_is_never_taken_for_a_success(run, capfd):
    for _ in range(5):  # the stock runner loses some of them in a race
        with pytest.raises(RuntimeError, match="FAILURE"):
            run("exit 7")
    assert "ended with exit code 7" in capfd.readouterr().out


def test_a_stage_that_takes_more_memory_than_its_limit_is_ended_with_the_reason(run, capfd):
    with pytest.raises(RuntimeError, match="FAILURE"):
        run("eat memory")
    assert "out of memory, its limit is 300m" in capfd.readouterr().out


def test_a_stage_cannot_write_into_its_image(run, capfd):
    with pytest.raises(RuntimeError, match="FAILURE"):
        run("write to the root")
    assert "Read-only file system" in capfd.readouterr().out


def test_an_image_that_is_not_there_is_named_before_anything_starts(tmp_path):
    with pytest.raises(InputError, match="localhost/none-evaluate:x is not there"):
        check_engine(Containers(images="localhost/none-{name}:x"), ["evaluate"])


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, '.');"
        "from pipelines.local.containers import Engine; from pipelines.profile import load_profile; from pathlib import Path;"
        f"s = load_profile('smoke').containers; e = Engine(s, 'test-killed', [Path({str(tmp_path)!r})]);"
        "e.start_stage(s.image('evaluate'), ['sleep', '600'], 'x', {}); print('up', flush=True); time.sleep(600)"
    )
    client = docker.from_env()
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        process.kill()
    labelled = {"label": f"{RUN_LABEL}=test-killed"}
    assert len(client.containers.list(filters=labelled)) == 1
    check_engine(SETTINGS, ["evaluate"])
    assert client.containers.list(all=True, filters=labelled) == []


@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_the_smallest_run_goes_through_containers_from_end_to_end(tmp_path):
    check_engine(SETTINGS, ["train", "serve"])
    command = [sys.executable, "-m", "pipelines", "run", "smoke", "--plain", "--runner", "docker", "--home", str(tmp_path)]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "store" / "promoted.json").exists()
    assert docker.from_env().containers.list(all=True, filters={"label": RUN_LABEL}) == []
    print(f"containers: {time.monotonic() - started:.0f} s")
