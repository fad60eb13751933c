"""The settings of a cluster: one model, which a profile holds, a compiled pipeline carries as JSON, and stages read back.

It names secrets but never holds their values.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    StringConstraints,
)

from globe.curation.recipe import API_KEY_VARIABLE
from globe.keys import SERVER_KEY, TEACHER_KEY
from globe.recipes.load import validate
from globe.signing import KEY_VARIABLE, SIGNED_VARIABLE
from globe.storage import S3_VARIABLES

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
"""A name that Kubernetes accepts."""
NameOrNone = Annotated[
    str,
    BeforeValidator(lambda name: "" if name is None else name),  # JSON in a compiled pipeline has no null
    StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253),
]
LabelOrNone = Annotated[
    str,
    BeforeValidator(lambda name: "" if name is None else name),
    StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$", max_length=63),
]
"""A name that can name a volume, too."""


def _quantity(given: object) -> object:
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)  # a profile may say `cpu: 8`
    if isinstance(given, str) and (not _QUANTITY.fullmatch(given) or float(given.rstrip("mkMGTPi")) == 0):
        raise ValueError(f"{given!r} is no quantity of Kubernetes above 0; write it like 8, 500m or 64Gi")
    return given


Precision = Literal["country", "region", "city"]


def _stable_name(name: str) -> str:
    if name and not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise ValueError(f"{name!r}: up to 40 of a-z, 0-9 and -, with a letter first")
    return name


_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kMGTP]i?)?")
Quantity = Annotated[str, BeforeValidator(_quantity)]
"""A Kubernetes quantity, such as 500m or 64Gi."""
_UNITS = {"m": 1e-3, "": 1.0, **{unit: 1000.0**power for power, unit in enumerate("kMGTP", 1)}}
_UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("kMGTP", 1)}


def amount(quantity: str) -> float:
    """What a Kubernetes quantity amounts to: bytes of memory, or CPUs."""
    number = quantity.rstrip("mkMGTPi")
    return float(number) * _UNITS[quantity.removeprefix(number)]


Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""A name that an environment variable can have."""
INT32 = 2**31 - 1
"""The greatest number of seconds that Kubernetes takes."""
Seconds = Annotated[NonNegativeInt, Field(le=INT32)]
SERVER_KEY_VARIABLE = SERVER_KEY.variable
"""The key of a hosted server that a run is asked to evaluate."""
WEBHOOK_VARIABLES = ("GLOBE_WEBHOOK_URL", "GLOBE_WEBHOOK_FORMAT", "GLOBE_RUN_PAGE")
"""Where the notice of a run's end goes, in which format, and where the run's page is (`globe.run.webhook`)."""
NO_SECRET = "globe-no-secret"
"""Name of a secret that nobody makes: what a run that needs none of S3's keys gets in place of the one that holds them."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""Label of all our pods: one of Istio's sidecars would outlive a stage, and pods with one and without cannot reach each other."""
WEEK_S = 7 * 24 * 3600


class Size(BaseModel):
    """What one task gets."""

    model_config = ConfigDict(extra="forbid")

    cpu: Quantity = "1"
    memory: Quantity = "2Gi"
    """Request and limit; shared memory counts against it."""
    shm: Quantity = "64Gi"
    """Size of /dev/shm, for tasks with GPUs: NCCL, data loaders and vLLM exchange data there, and 64 MB is not enough."""
    retries: int = Field(default=0, ge=0, le=100)
    """How often it is started again. Only for stages that can resume where they were killed."""
    deadline_s: Seconds = 0
    """How long a task's pod may run; 0 for no limit."""
    scratch: Quantity = "500Gi"
    """How much the pod may keep of what lies on S3. Nothing is set aside for it; a pod that takes more is ended."""


class Secret(BaseModel):
    """A secret by name, and which of its keys become environment variables of the same name."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    keys: list[Variable] = Field(min_length=1)
    stages: list[str] = []
    """Whose pods get it; empty for all. What fetches a server's weights gets those of stage serving that are about S3."""


class Release(BaseModel):
    """The served model whose name a promotion moves to the promoted checkpoint, as `globe deploy` does by hand.

    Its pods get the nodes, GPUs and serving values of the run's own servers.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_stable_name)] = ""
    """Its name; empty to leave what is served alone."""
    replicas: int = Field(default=0, ge=0, le=1000)
    """How many pods; 0 for as many as there are, or 1."""
    max_precision: Precision = "city"
    """The finest that is told to anybody."""
    without_keys: bool = False
    """Whoever the network policy lets through may ask."""
    in_place: bool = False
    """Replace pod by pod, where there is no room for old and new ones at once."""


class Cluster(BaseModel):
    """What a cluster offers GLOBE, and how much of it tasks and servers get."""

    model_config = ConfigDict(extra="forbid")

    namespace: NameOrNone = ""
    """Where servers are created; empty for the stage's own namespace, which the backend chooses."""
    service_account: NameOrNone = "globe-serving"
    """Account of the runs' pods, which manifests/overlays makes; empty for the one that KFP gives to every run."""
    claim: LabelOrNone = "globe-store"
    """Claim that all pods share (ReadWriteMany); servers only read it. null or empty if everything is on S3. KFP names the volume
    after it, so it has no dots."""
    mount_path: str = Field(default="/mnt/globe", pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$")
    """Where stages and servers mount the claim."""
    gpu_resource: str = Field(
        default="nvidia.com/gpu", pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$"
    )
    gpu_hour_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What an hour of one GPU costs; 0 where nobody knows. The plan and the end of a run then say what GPU-hours cost."""
    currency: str = Field(default="USD", max_length=12, pattern="^[A-Za-z$€£¥₹₩]+$")
    """Of that price, as it is printed."""
    training_nodes: dict[Literal["sft", "grpo"], Annotated[int, Field(ge=1, le=64)]] = {}
    """How many nodes train a stage; 1 if it is left out, the stage's own pod. More are a TrainJob of Kubeflow
    Trainer (manifests/trainer), each node with as many GPUs as the run gives the stage. The stage's pod waits, without any."""
    training_runtime: Name = "globe-torch"
    """The TrainingRuntime, or ClusterTrainingRuntime, of such a job."""
    gpu_memory_gb: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Memory of a GPU, as its name says (40, 80), where node labels do not say it. A training that cannot fit is then refused."""
    queue: LabelOrNone = ""
    """Kueue LocalQueue of pods with GPUs; empty for none."""
    secrets: list[Secret] = [
        Secret(name="globe-s3", keys=list(S3_VARIABLES)),
        Secret(
            name="globe-teachers",
            keys=[API_KEY_VARIABLE, TEACHER_KEY.hosts_variable],
            stages=["validate", "annotate", "curation"],
        ),
        Secret(name="globe-teachers", keys=[SERVER_KEY_VARIABLE, SERVER_KEY.hosts_variable], stages=["validate", "evaluation"]),
        Secret(name="globe-webhook", keys=list(WEBHOOK_VARIABLES), stages=["teardown"]),
    ]
    signing_secret: NameOrNone = ""
    """Secret with the key GLOBE_SIGNING_KEY, by which runs sign what they write and believe only what is signed. All stages get
    it, servers do not. Empty for none: then whoever can write to the store decides what runs believe."""
    image_pull_secrets: list[Name] = []
    check_nodes: bool = True
    """Let the first task check that there are nodes with the GPUs that are wanted (if it may list nodes)."""
    ttl_s: Seconds = WEEK_S
    """How long a finished run's pods are kept; 0 keeps them forever."""
    deadline_s: Seconds = WEEK_S
    """How long a whole run may take; 0 for no limit."""
    sizes: dict[str, Size] = {}
    """What replaces the sizes of `globe.run.stages`, by stage; fields that are left out stay as they are there."""
    server_cpu: Quantity = "8"
    server_memory: Quantity = "96Gi"
    server_shm: Quantity = "16Gi"
    server_weights: Quantity = "500Gi"
    """How much a server's pod may fetch from S3."""
    server_schedule_timeout_s: float = Field(default=3600.0, gt=0, allow_inf_nan=False)
    """How long a server may wait for room on a node; from then on, it has the recipe's time to start."""
    server_image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """Empty for Kubernetes' own default."""
    release: Release = Release()
    """The served model that follows the promoted one, such as {name: where}: in the servers' namespace, where runs need the
    rights of manifests/release. Without a name a promotion moves nothing; `globe deploy` does."""
    host_network: bool = False
    """Let servers use their node's network, for a cluster without a network between pods."""
    server_image: str = ""
    """Image of the servers. This and the next are filled in by the compiler, from the pins."""
    fetch_image: str = ""
    """Image that fetches weights from S3 before a server starts: the evaluate image, for the serve image has no S3 client."""
    train_image: str = ""
    """Image of the nodes of a TrainJob."""

    def for_stages(self, server_image: str, fetch_image: str, train_image: str = "") -> dict[str, Any]:
        """All settings as JSON, a constant of the compiled pipeline; `read_cluster` reads it back.

        Args:
            server_image: Image of the servers.
            fetch_image: Image that fetches their weights from S3.
            train_image: Image of the nodes of a TrainJob.
        """
        images = {"server_image": server_image, "fetch_image": fetch_image, "train_image": train_image}
        return self.model_copy(update=images).model_dump(mode="json")

    def size_of(self, stage: str, usual: Size) -> Size:
        """The size of a stage: the usual one, with what the profile says instead."""
        given = self.sizes.get(stage)
        return usual.model_copy(update=given.model_dump(exclude_unset=True)) if given else usual

    def nodes_of(self, stage: str) -> int:
        """How many nodes train a stage; 1 is its own pod."""
        return next((count for name, count in self.training_nodes.items() if name == stage), 1)

    def every_secret(self) -> list[Secret]:
        """All secrets that pods of stages get, the one for signing among them."""
        signing = [Secret(name=self.signing_secret, keys=[KEY_VARIABLE])] if self.signing_secret else []
        return [*self.secrets, *signing]

    def secret_of(self, stage: str) -> dict[str, str]:
        """For each environment variable that a secret fills in a stage's pod, the secret's name; its key has the variable's name.

        Args:
            stage: Name of the stage.
        """
        return {key: name for name, keys in self.secrets_of(stage).items() for key in keys}

    def secrets_of(self, stage: str) -> dict[str, list[str]]:
        """The keys that a stage's pod gets, by the names of their secrets.

        Args:
            stage: Name of the stage.
        """
        found: dict[str, list[str]] = {}
        for secret in self.every_secret():
            if not secret.stages or stage in secret.stages:
                found.setdefault(secret.name, []).extend(key for key in secret.keys if key not in found[secret.name])
        return found

    def s3_secret(self) -> str:
        """The secret that pods get only in runs that have something on S3; empty if there is none.

        It is the one for all stages that holds nothing else. A secret that names its stages is theirs in every run, and where
        several hold what is about S3, all are: a backend takes one name from a run's first task.
        """
        about_s3 = [secret for secret in self.secrets if set(secret.keys) & set(S3_VARIABLES)]
        alone = [secret for secret in about_s3 if set(secret.keys) <= set(S3_VARIABLES) and not secret.stages]
        names = [secret.name for secret in self.every_secret()]
        return alone[0].name if len(about_s3) == len(alone) == 1 and names.count(alone[0].name) == 1 else ""

    def signing_variables(self) -> dict[str, str]:
        """What says in a stage's environment that runs sign, besides the key itself."""
        return {SIGNED_VARIABLE: self.signing_secret} if self.signing_secret else {}


@dataclass(frozen=True)
class Place:
    """Where a run serves, or `globe deploy` does, which has no run. On a laptop only the run's name is set."""

    run: str = ""
    """Name of the run; everything that it creates carries it as a label, by which it is found again."""
    gpus: int = 0
    """GPUs of each server."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes that may run it."""
    tolerations: Sequence[Mapping[str, Any]] = ()
    cluster: Cluster | None = None
    """None on a laptop."""
    store: str = ""
    """Where the run keeps its records, among them what its servers took; empty for nowhere."""


def read_cluster(settings: Mapping[str, Any]) -> Cluster | None:
    """Read the cluster settings that a task was given.

    Args:
        settings: What `Cluster.for_stages` returned when the pipeline was compiled; empty on a laptop.

    Returns:
        The settings; None on a laptop.

    Raises:
        InputError: An unknown field or a wrong value.
    """
    return validate(Cluster, dict(settings), "cluster settings") if settings else None
