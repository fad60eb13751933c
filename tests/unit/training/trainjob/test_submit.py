"""A training on several nodes: what is submitted, and that a job that is there already is found again, not made twice."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from globe.errors import GlobeError
from globe.training.trainjob import submit as module
from globe.training.trainjob.job import Job, Nodes, job_name, read_job
from globe.training.trainjob.submit import is_at_work, submit

SAY = "import os, sys, time; print('node', os.environ['PET_NODE_RANK'], 'of', os.environ['PET_NNODES'], flush=True); "


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "POLL_S", 0.1)


def job(folder: Path, code: str = "", **nodes: object) -> tuple[Job, Path]:
    """A job of two nodes that run Python code, and its file."""
    settings = {"count": 2, "gpus": 0, "image": "train:1", "claim": "globe-store", "mount_path": "/mnt/globe"}
    settings |= {"namespace": "team"} | nodes
    made = Job(
        name=job_name("reward_model", "0123456789abcdef"),
        nodes=Nodes(**settings),
        command=[sys.executable, "-c", SAY + code, "--report_to", "tensorboard"],
        environment={"TOLD": "yes"},
    )
    return made, made.write(folder)


def test_both_nodes_train_with_their_places_and_what_the_first_prints_is_printed_here(trainer, tmp_path, capsys):
    submit(*job(tmp_path, "print(os.environ['TOLD'], os.environ['PET_MASTER_ADDR'])"))
    assert "node 0 of 2\nyes 127.0.0.1\n" in capsys.readouterr().out
    logs = [path.read_text() for path in sorted((tmp_path / "pods").iterdir())]
    assert [log.splitlines()[0] for log in logs] == ["node 0 of 2", "node 1 of 2"]
    assert trainer.jobs == {}  # a job that is complete is removed: its result lies with the stage


def test_the_job_asks_for_what_the_profile_and_the_run_say_and_a_node_that_lacks_its_gpus_ends(trainer, tmp_path):
    here = len(list(Path("/dev").glob("nvidia[0-9]*")))
    promised = here + 8
    with pytest.raises(GlobeError, match=f"was promised {promised} GPUs and sees {here}"):
        submit(
            *job(
                tmp_path,
                gpus=promised,
                resources={"nvidia.com/gpu": str(promised), "memory": "900Gi"},
                labels={"globe.kubeflow.org/run": "r"},
                node_selector={"zone": "a"},
                tolerations=[{"operator": "Exists"}],
                service_account="globe-serving",
                image_pull_secrets=["login"],
            )
        )
    (made,) = trainer.submitted
    assert made["metadata"]["name"] == "globe-reward-model-0123456789abcdef"
    assert made["metadata"]["labels"] == {"globe.kubeflow.org/run": "r"}
    assert made["spec"]["runtimeRef"] == {"kind": "TrainingRuntime", "name": "globe-torch"}
    asked = made["spec"]["trainer"]
    assert (asked["image"], asked["numNodes"]) == ("train:1", 2)
    assert asked["resourcesPerNode"]["limits"] == {"nvidia.com/gpu": str(promised), "memory": "900Gi"}
    (patch,) = made["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"zone": "a"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["serviceAccountName"] == "globe-serving"
    assert pod["imagePullSecrets"] == [{"name": "login"}]
    assert {"name": "globe", "persistentVolumeClaim": {"claimName": "globe-store"}} in pod["volumes"]
    assert {"name": "globe", "mountPath": "/mnt/globe"} in pod["containers"][0]["volumeMounts"]


def test_a_job_that_fails_fails_the_stage_with_the_failing_nodes_last_words(trainer, tmp_path):
    code = "time.sleep(0.2); sys.exit('ValueError: no such picture') if os.environ['PET_NODE_RANK'] == '1' else time.sleep(1)"
    with pytest.raises(GlobeError, match="globe-reward-model-0123456789abcdef failed: node-1: ValueError: no such picture"):
        submit(*job(tmp_path, code))


def test_a_job_that_failed_is_removed_and_submitted_anew(trainer, tmp_path, capsys):
    marker = tmp_path / "second"
    code = f"import pathlib; p = pathlib.Path({str(marker)!r}); sys.exit(0 if p.exists() else 3)"
    with pytest.raises(GlobeError, match="failed"):
        submit(*job(tmp_path, code))
    marker.touch()
    submit(*job(tmp_path, code))
    assert len(trainer.submitted) == 2
    assert "Failed, and is wanted again: removed" in capsys.readouterr().out


def test_a_stage_whose_pod_was_lost_finds_its_job_at_work_and_waits_for_it(trainer, tmp_path):
    made, file = job(tmp_path, "time.sleep(6)")
    command = [sys.executable, "-m", "globe.training.trainjob.submit", str(file)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(trainer.nodes.get(made.name, ())) == 2)
    first.kill()
    first.wait()
    assert is_at_work(made.name, "team")
    pids = [node.pid for node in trainer.nodes[made.name]]
    submit(made, file)
    assert len(trainer.submitted) == 1
    assert [node.pid for node in trainer.nodes[made.name]] == pids
    assert not is_at_work(made.name, "team")


def test_a_stage_that_is_told_to_end_ends_its_job_whose_nodes_may_still_save(trainer, tmp_path):
    saved = tmp_path / "saved"
    code = f"import signal, pathlib; signal.signal(15, lambda *_: (pathlib.Path({str(saved)!r}).touch(), sys.exit(0))); "
    code += f"pathlib.Path({str(tmp_path)!r}, 'heeds-' + os.environ['PET_NODE_RANK']).touch(); "
    made, file = job(tmp_path, code + "time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-m", "globe.training.trainjob.submit", str(file)], stdout=subprocess.PIPE)
    wait_for(lambda: all((tmp_path / f"heeds-{rank}").exists() for rank in (0, 1)))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    wait_for(lambda: all(node.poll() is not None for node in trainer.nodes[made.name]))
    assert saved.exists()
    assert trainer.jobs == {}


def test_a_job_that_was_at_work_a_moment_ago_and_is_complete_now_is_not_submitted_again(trainer, tmp_path):
    made, file = job(tmp_path)
    submit(made, file)
    trainer.jobs[made.name] = trainer.submitted[0]  # as if nobody had removed it yet
    submit(made, file, goes_on=True)
    assert len(trainer.submitted) == 1
    trainer.jobs[made.name] = trainer.submitted[0]
    submit(made, file)  # a new call's, which goes on from another checkpoint
    assert len(trainer.submitted) == 2


def test_an_api_that_is_away_for_a_moment_is_waited_for(trainer, tmp_path):
    trainer.away = 5
    submit(*job(tmp_path))
    assert len(trainer.submitted) == 1


def test_a_runtime_that_is_not_there_is_said_with_what_makes_it(trainer, tmp_path):
    trainer.runtimes = {}
    with pytest.raises(GlobeError, match=r"kubectl apply -k manifests/trainer"):
        submit(*job(tmp_path))


def test_the_file_is_its_owners_alone_since_it_may_hold_a_servers_key(tmp_path):
    made, file = job(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_job(file) == made


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x", "nodes": {"count": 2}}'])
def test_a_file_that_is_no_jobs_is_told(tmp_path, text):
    (tmp_path / "trainjob.json").write_text(text)
    with pytest.raises(GlobeError, match="is no TrainJob's file"):
        read_job(tmp_path / "trainjob.json")


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_names_hold_in_dns():
    assert job_name("reward_model", "0123456789abcdef") == "globe-reward-model-0123456789abcdef"
    assert len(job_name("grpo", "f" * 64)) == 63
