"""What a cluster gives to each task."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, NonNegativeInt, StringConstraints

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGTP]i?)?$")]
"""A Kubernetes quantity, such as 500m or 64Gi."""
HOUR_S = 3600


class Size(BaseModel):
    """What one task gets."""

    model_config = ConfigDict(extra="forbid")

    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    """Request and limit; shared memory counts against it."""
    shm: Quantity = "64Gi"
    """Size of /dev/shm, for tasks with GPUs: NCCL, data loaders and vLLM exchange through it, and 64 MB are not enough."""
    retries: NonNegativeInt = 0
    """Only for stages that go on where they were killed."""
    deadline_s: NonNegativeInt = 0
    """Longest time that a task's pod may run; 0 for no limit."""
