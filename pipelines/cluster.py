"""How much each task of a cluster gets by default, and what a profile may say about its cluster."""

from typing import Annotated

from pydantic import AfterValidator

from globe.run.cluster import Cluster, Size

HOUR_S = 3600
SMALL = Size(cpu="250m", memory="1Gi", deadline_s=HOUR_S)
CONTROL = Size(cpu="250m", memory="1Gi", deadline_s=2 * HOUR_S)
TRAINING = Size(cpu="64", memory="800Gi", shm="128Gi", retries=3)
SIZES = {
    "validate": SMALL,
    "join": SMALL,
    "given": Size(cpu="2", memory="4Gi", deadline_s=4 * HOUR_S),  # hashes a model
    "source": Size(cpu="4", memory="8Gi", retries=2),
    "base_model": Size(cpu="2", memory="4Gi", retries=2),
    "model": Size(cpu="2", memory="4Gi", retries=2),
    "annotate": Size(cpu="4", memory="8Gi", retries=2),
    "curation": Size(cpu="4", memory="16Gi", retries=2),
    "sft": TRAINING,
    "reward_model": TRAINING,
    "grpo": TRAINING.model_copy(update={"memory": "1200Gi", "shm": "256Gi"}),
    "baselines": Size(cpu="8", memory="96Gi", shm="16Gi", retries=1),
    "reward_service": CONTROL,
    "serving": CONTROL,
    "evaluation": Size(cpu="4", memory="8Gi", retries=2),
    "gate": SMALL,
    "promote": SMALL,
    "teardown": CONTROL,
}
"""Default size of each task; GPUs are pipeline parameters."""


def size_of(cluster: Cluster, task: str) -> Size:
    """The size of a task: the profile's, or the default."""
    return cluster.sizes.get(task) or SIZES[task]


def _as_in_a_profile(cluster: Cluster) -> Cluster:
    unknown = set(cluster.sizes) - set(SIZES)
    if unknown:
        raise ValueError(f"sizes: no task {sorted(unknown)[0]!r}; choose from {', '.join(SIZES)}")
    if cluster.server_image or cluster.fetch_image:
        raise ValueError("server_image and fetch_image are not a profile's: images/pins.yaml names all images")
    return cluster


ProfileCluster = Annotated[Cluster, AfterValidator(_as_in_a_profile)]
"""A cluster's settings as a profile gives them."""
