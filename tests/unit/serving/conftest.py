"""The double of a cluster, for these tests."""

from kube_double import api, claim, statuses

__all__ = ["api", "claim", "statuses"]
