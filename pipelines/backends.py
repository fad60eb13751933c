"""The versions of KFP's backend that people have, and what each of them can do.

A backend drops what it does not know without a word, refuses it, or fails in the middle of a run. So every version gets a package
with what it takes and nothing else. Each capability names the release whose sources have it first.
"""

import re
from dataclasses import dataclass

from globe.errors import InputError

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:[.-].*)?")


@dataclass(frozen=True)
class Backend:
    """A version of KFP's backend.

    Attributes:
        version: First two numbers of its release: "2.17".
        found_in: Where people get it.
        run_limits: 2.17: the compiled pipeline sets how long a run may take and how long its pods are kept. Older ones skip the
            whole platform spec if it is there.
        pod_security: 2.16: tasks choose the user that they run as. 2.14 and 2.15 refuse the run; older ones drop the field, and
            the task's pod labels with it.
        loop_names: 2.16: the UI shows loops' names. Older ones look up what a loop brought under its name in the UI, in vain.
        optional_secrets: 2.15: a pod starts even if the secret of a variable, or a key of it, is missing. 2.14 refuses the run;
            older ones drop the field, and the task's pod labels with it. They get secrets as files, which may be missing.
        collects: 2.14: `dsl.Collected` gathers the outputs of a loop.
        display_names: 2.14: the UI shows tasks' display names. Older ones look up what a task brought under its name in the UI,
            in vain.
        pod_labels: 2.14: each task's pods have labels of their own. Older ones give those of one task to all.
        retries_in_groups: 2.14: tasks inside of groups (an exit handler, a condition) may be started again. Older ones skip that.
        retries_failures: Argo starts a pod again that failed: an exit code, no memory, evicted. 2.17's own settings of Argo
            forbid it.
        retries_lost_pods: Argo starts a pod again that was deleted, as it is when its node is lost: 2.17's own settings.
    """

    version: str
    found_in: str
    run_limits: bool = False
    pod_security: bool = False
    loop_names: bool = False
    optional_secrets: bool = False
    collects: bool = False
    display_names: bool = False
    pod_labels: bool = False
    retries_in_groups: bool = False
    retries_failures: bool = False
    retries_lost_pods: bool = False

    @property
    def number(self) -> tuple[int, int]:
        """The version as numbers, for comparing."""
        major, minor = self.version.split(".")
        return int(major), int(minor)

    @property
    def lacks(self) -> list[str]:
        """What it cannot do, one sentence each, for users."""
        return [text for capability, text in LACKS.items() if not getattr(self, capability)]

    @property
    def folder(self) -> str:
        """Name of the folder with its compiled pipelines."""
        return f"kfp-{self.version}"


LACKS = {
    "run_limits": "end a run after the profile's deadline_s, or keep its pods for ttl_s: the server's own settings apply",
    "pod_security": "set stages' user: their images' own (1001) applies, and a `restricted` namespace refuses the pods",
    "collects": "gather what several annotators bring: in pipeline curation one pod asks the teachers about all pictures",
    "display_names": "show the stages' titles in the UI: it shows the tasks' names",
    "pod_labels": "put GPU stages into the profile's Kueue queue: their pods go to the scheduler at once",
    "retries_failures": "start a pod again that ran out of memory or was evicted: start the run again, finished stages stay",
    "retries_lost_pods": "start a pod again whose node was lost: start the run again, finished stages stay",
}
"""What a user has to know of a backend without a capability."""
_SINCE_2_14 = {"collects": True, "display_names": True, "pod_labels": True, "retries_in_groups": True}
_SINCE_2_15 = {**_SINCE_2_14, "optional_secrets": True}
_SINCE_2_16 = {**_SINCE_2_15, "pod_security": True, "loop_names": True}
BACKENDS = {
    backend.version: backend
    for backend in (
        Backend("2.17", "KFP 2.17", **_SINCE_2_16, run_limits=True, retries_lost_pods=True),
        Backend("2.16", "Kubeflow 26.03", **_SINCE_2_16, retries_failures=True),
        Backend("2.15", "Kubeflow 1.11", **_SINCE_2_15, retries_failures=True),
        Backend("2.5", "Kubeflow 1.10"),
    )
}
"""Newest first."""
NEWEST = next(iter(BACKENDS.values()))


def find_backend(version: str) -> Backend:
    """The backend of a version: the newest one that is not newer.

    Args:
        version: What a user gives or a server says, such as "2.17", "2.16.0" or "v2.5.0".

    Raises:
        InputError: No version, or one that is too old.
    """
    match = _VERSION.fullmatch(version.strip())
    if not match:
        raise InputError(f"{version!r} is not a version of KFP; there are packages for {', '.join(BACKENDS)}")
    number = int(match[1]), int(match[2])
    fitting = [backend for backend in BACKENDS.values() if backend.number <= number and backend.number[0] == number[0]]
    if not fitting:
        newer = number > NEWEST.number
        needs = "no package was made for anything so new" if newer else f"GLOBE needs {list(BACKENDS)[-1]} or newer"
        raise InputError(f"KFP {version}: {needs}; there are packages for {', '.join(BACKENDS)}")
    return fitting[0]
