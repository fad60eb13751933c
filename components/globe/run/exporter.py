"""A trainer's numbers for Prometheus: the page /metrics of a stage's process, where GLOBE_METRICS_PORT says at which port.

Only this machine can read it, unless GLOBE_METRICS_HOST names another address to listen at: a pod's is 0.0.0.0, for Prometheus
comes from elsewhere, by the pod's address, which nobody knows when the pipeline is compiled.

`globe_training{stage, name}` is what the trainer logged last under a name (loss, reward, learning_rate, ...),
`globe_training_step{stage}` and `globe_training_steps{stage}` say how far it is. They are gauges: a resumed training goes
back to its last checkpoint. In a TrainJob, transformers' KubeflowCallback tells the same to Kubeflow Trainer.
"""

import math
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from globe.errors import InputError

PORT_VARIABLE, HOST_VARIABLE = "GLOBE_METRICS_PORT", "GLOBE_METRICS_HOST"
ALL_ADDRESSES = "0.0.0.0"


def tell_step(stage: str, step: int, steps: int, values: Mapping[str, Any]) -> None:
    """Show a step that was logged; nothing happens where no port is set.

    Args:
        stage: The stage.
        step: The step, from 1.
        steps: How many there are.
        values: What was logged at it, by name; what is no finite number is left out.

    Raises:
        InputError: The port is none, or taken, or the host is no address of this machine.
    """
    port = os.environ.get(PORT_VARIABLE)
    if not port:
        return
    logged, at, of = _gauges(port, os.environ.get(HOST_VARIABLE) or "127.0.0.1")
    at.labels(stage).set(step)
    of.labels(stage).set(steps)
    for name, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            logged.labels(stage, name).set(value)


@cache
def _gauges(port: str, host: str) -> tuple[Any, Any, Any]:
    from prometheus_client import Gauge, start_http_server  # only where somebody scrapes

    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"{PORT_VARIABLE}: {port!r} is no port; give a number up to 65535, or unset it")
    try:
        start_http_server(int(port), host)
    except OSError as error:
        raise InputError(
            f"{PORT_VARIABLE}: port {port} of {host} ({HOST_VARIABLE}) cannot be used ({error.strerror}); give another one"
        ) from None
    return (
        Gauge("globe_training", "What the trainer logged last", ["stage", "name"]),
        Gauge("globe_training_step", "The last step that was logged", ["stage"]),
        Gauge("globe_training_steps", "How many steps there are", ["stage"]),
    )
