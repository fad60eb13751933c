"""On how many nodes a stage trains, and which: from the cluster's settings and the run's."""

from collections.abc import Mapping, Sequence
from typing import Any

from globe import storage
from globe.errors import InputError
from globe.run.cluster import NO_SIDECAR, QUEUE_LABEL, Cluster
from globe.run.stages import STAGES
from globe.serving.kube import own_namespace
from globe.serving.manifest import HOME_LABEL, run_labels
from globe.training.trainjob.job import Nodes


def training_nodes(
    stage: str,
    cluster: Cluster | None,
    *,
    gpus: int,
    nodes: Mapping[str, str],
    tolerations: Sequence[Mapping[str, Any]],
    run: str,
    store: str,
) -> Nodes | None:
    """The nodes of a stage's TrainJob; None where the stage's own pod trains.

    Args:
        stage: The stage.
        cluster: The cluster's settings; None on a laptop.
        gpus: GPUs of each node.
        nodes: Labels of the nodes that may train.
        tolerations: Taints that their pods tolerate.
        run: Name of the run, by whose label its clean-up finds the job.
        store: Where stages keep their results.

    Raises:
        InputError: The nodes could not see the store.
    """
    if cluster is None or cluster.nodes_of(stage) == 1:
        return None
    if not cluster.claim or storage.address_of(store):
        raise InputError(
            f"cluster settings: training_nodes: {stage}: several nodes need a claim that they share, with the store on it; "
            f"this run's is {store}"
        )
    size = cluster.size_of(stage, STAGES[stage].size)
    labels = run_labels(run, f"train-{stage}") | NO_SIDECAR | ({QUEUE_LABEL: cluster.queue} if cluster.queue else {})
    home = own_namespace()
    return Nodes(
        count=cluster.nodes_of(stage),
        gpus=gpus,
        image=cluster.train_image,
        claim=cluster.claim,
        mount_path=cluster.mount_path,
        namespace=home,  # the claim's
        runtime=cluster.training_runtime,
        resources={"cpu": size.cpu, "memory": size.memory} | ({cluster.gpu_resource: str(gpus)} if gpus else {}),
        labels=labels | ({HOME_LABEL: home} if home else {}),
        node_selector=dict(nodes),
        tolerations=list(tolerations),
        image_pull_secrets=list(cluster.image_pull_secrets),
        shm=size.shm,
    )
