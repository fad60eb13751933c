"""Without MLflow's variables nothing happens, and nothing is needed."""

import os
import subprocess
import sys

import pytest

from globe.run.tracking import Record, tracked


@pytest.mark.parametrize("environment", [{}, {"MLFLOW_RUN_ID": "r"}, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}])
def test_without_a_server_and_a_run_a_record_does_nothing(environment):
    with tracked("sft", environment) as record:
        assert type(record) is Record
        record.step(1, 2, {"loss": 1.0})
        record.finish(params={"a": 1}, figures={}, curve=[{"step": 1}])


def test_nothing_is_imported_or_started_for_it():
    code = (
        "import sys, threading; from globe.run.tracking import tracked\n"
        "with tracked('sft') as record: record.step(1, 2, {}); record.finish()\n"
        "print([name for name in ('httpx2', 'mlflow', 'ssl', 'globe.web') if name in sys.modules], threading.active_count())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] 1\n", done.stderr


def test_a_failure_of_the_work_goes_through():
    with pytest.raises(ZeroDivisionError), tracked("sft", {}):
        raise ZeroDivisionError
