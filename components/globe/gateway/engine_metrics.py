"""vLLM's own metrics, passed on with the gateway's: its port is open to nobody else, and its key is the gateway's."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

TIMEOUT_S = 3.0
"""For vLLM's answer; Prometheus waits ten seconds for ours."""
OURS = "vllm:"
"""What is passed on. The process's own figures (`python_`, `process_`, `http_`) would look like the gateway's."""


class EngineMetrics(Collector):
    """Collects what an engine counts, whenever somebody asks; nothing while it starts or is down.

    Register it with the gateway's own registry: `registry.register(EngineMetrics(settings.engine_url, key.header))`.
    """

    def __init__(self, engine_url: str, headers: Mapping[str, str]) -> None:
        """Nothing is asked yet.

        Args:
            engine_url: vLLM's address, without /v1.
            headers: What a request to it carries, such as its key.
        """
        self._request = urllib.request.Request(f"{engine_url}/metrics", headers=dict(headers))
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def describe(self) -> list[Metric]:
        """None by name: a registry would ask the engine for them, which does not run yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families that are vLLM's own."""
        try:
            with self._opener.open(self._request, timeout=TIMEOUT_S) as answer:
                text = answer.read().decode()
            families = list(text_string_to_metric_families(text))
        except (OSError, ValueError):
            return
        yield from (family for family in families if family.name.startswith(OURS))
