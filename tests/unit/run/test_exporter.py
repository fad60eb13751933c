"""A trainer's numbers on /metrics, as a scraper reads them."""

import json
import socket
import subprocess
import sys

import pytest

from globe.run import exporter

CODE = """
import json, sys, urllib.request
from globe.run.exporter import tell_step
for step, values in json.loads(sys.argv[1]):
    tell_step("grpo", step, 40, values)
print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}/metrics").read().decode())
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def scraped(steps: list, port: int) -> dict[str, float]:
    """What a process of its own shows after some steps."""
    argv = [sys.executable, "-c", CODE, json.dumps(steps), str(port)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"GLOBE_METRICS_PORT": str(port), **path()})
    lines = [line for line in done.stdout.splitlines() if line.startswith("globe_")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}


def test_the_last_values_of_each_name_are_shown_with_how_far_the_training_is():
    shown = scraped([(1, {"reward": 0.25, "loss": 2.0}), (2, {"reward": 0.5, "note": "text", "kl": float("inf")})], free_port())
    assert shown == {
        'globe_training{name="reward",stage="grpo"}': 0.5,
        'globe_training{name="loss",stage="grpo"}': 2.0,
        'globe_training_step{stage="grpo"}': 2.0,
        'globe_training_steps{stage="grpo"}': 40.0,
    }


def test_a_resumed_training_goes_back():
    shown = scraped([(9, {"reward": 0.5}), (4, {"reward": 0.3})], free_port())
    assert shown['globe_training_step{stage="grpo"}'] == 4.0


def test_without_a_port_nothing_listens(monkeypatch):
    monkeypatch.delenv(exporter.PORT_VARIABLE, raising=False)
    exporter.tell_step("grpo", 1, 2, {"loss": 1.0})
    assert exporter._gauges.cache_info().currsize == 0


def test_other_machines_reach_it_only_where_an_address_is_named_for_them():
    code = CODE.replace("127.0.0.1", "127.0.0.2")  # every machine has it, and what listens at the first is not reached by it

    def reached(environment: dict[str, str]) -> int:
        port = str(free_port())
        argv = [sys.executable, "-c", code, "[[1, {}]]", port]
        return subprocess.run(argv, capture_output=True, env={"GLOBE_METRICS_PORT": port, **environment, **path()}).returncode

    assert reached({}) != 0
    assert reached({"GLOBE_METRICS_HOST": "0.0.0.0"}) == 0


def test_an_address_of_another_machine_is_told(monkeypatch):
    monkeypatch.setenv(exporter.PORT_VARIABLE, str(free_port()))
    monkeypatch.setenv(exporter.HOST_VARIABLE, "192.0.2.1")
    with pytest.raises(exporter.InputError, match=r"192\.0\.2\.1 \(GLOBE_METRICS_HOST\)"):
        exporter.tell_step("grpo", 1, 2, {})


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_a_port_that_is_none_is_told(monkeypatch, port):
    monkeypatch.setenv(exporter.PORT_VARIABLE, port)
    with pytest.raises(exporter.InputError, match="GLOBE_METRICS_PORT"):
        exporter.tell_step("grpo", 1, 2, {})
