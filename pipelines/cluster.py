"""A profile's part about a cluster: what there is, and how much of it each stage gets. Names of secrets, never their values."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints

from globe.curation.teachers import API_KEY_VARIABLE
from globe.run.cluster import HOUR_S, Quantity, Size
from globe.run.stages import STAGES
from globe.storage import S3_VARIABLES

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""What Kubernetes takes as a name."""


class Secret(BaseModel):
    """A secret by name, and which of its keys become environment variables of the same name."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    keys: list[str] = Field(min_length=1)

    def variables(self) -> dict[str, str]:
        """Environment variable by key."""
        return {key: key for key in self.keys}


class Cluster(BaseModel):
    """What a cluster has for GLOBE."""

    model_config = ConfigDict(extra="forbid")

    namespace: Name = "globe"
    """Where servers are made; the namespace of the runs themselves is the backend's choice."""
    service_account: Name = "globe-serving"
    """Account of the runs' pods; it must be allowed to make Deployments and Services there (manifests/rbac)."""
    claim: Name | None = "globe-store"
    """Claim that all pods share (ReadWriteMany); null where everything lies on S3."""
    mount_path: str = "/mnt/globe"
    gpu_resource: str = "nvidia.com/gpu"
    queue: str = ""
    """Kueue LocalQueue of pods with GPUs; empty for none."""
    secrets: list[Secret] = [
        Secret(name="globe-s3", keys=list(S3_VARIABLES)),
        Secret(name="globe-teachers", keys=[API_KEY_VARIABLE]),
    ]
    image_pull_secrets: list[Name] = []
    check_nodes: bool = True
    """Let the first task ask whether there are nodes with the GPUs that are wanted (if it may list nodes)."""
    ttl_s: NonNegativeInt = 7 * 24 * HOUR_S
    """How long a finished run's pods are kept; 0 keeps them."""
    deadline_s: NonNegativeInt = 7 * 24 * HOUR_S
    """Longest time that a whole run may take; 0 for no limit."""
    server_cpu: Quantity = "8"
    server_memory: Quantity = "96Gi"
    server_shm: Quantity = "16Gi"
    host_network: bool = False
    """Servers use their node's network, for a cluster that has none between pods."""
    sizes: dict[str, Size] = {}
    """Sizes that replace the defaults, by stage."""

    def model_post_init(self, _: Any) -> None:
        """Fill in the default sizes."""
        unknown = set(self.sizes) - set(STAGES)
        if unknown:
            raise ValueError(f"sizes: no task {sorted(unknown)[0]!r}; choose from {', '.join(STAGES)}")
        self.sizes = {name: self.sizes.get(name, stage.size) for name, stage in STAGES.items()}

    def for_stages(self, server_image: str, fetch_image: str) -> dict[str, Any]:
        """What the stages themselves need to know, as a constant of the compiled pipeline.

        Args:
            server_image: Image of the servers.
            fetch_image: Image that fetches their weights from S3.
        """
        return {
            "namespace": self.namespace,
            "image": server_image,
            "fetch_image": fetch_image,
            "claim": self.claim or "",
            "mount_path": self.mount_path,
            "gpu_resource": self.gpu_resource,
            "queue": self.queue,
            "image_pull_secrets": list(self.image_pull_secrets),
            "cpu": self.server_cpu,
            "memory": self.server_memory,
            "shm": self.server_shm,
            "host_network": self.host_network,
            "check_nodes": self.check_nodes,
            "secrets": {key: secret.name for secret in self.secrets for key in secret.keys},
        }
