"""What a gateway counts, for Prometheus: how often and how long, never what or whose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from globe.gateway.status import Status

ROUTES = ("/", "/locate", "/v1/chat/completions", "/v1/models", "/health", "/ready", "/live", "/openapi.json")
"""Paths that are counted by name; whatever else is asked for is `other`, for a client may ask for a million different ones."""
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120)


class Metrics:
    """The counters of one gateway."""

    def __init__(self, status: Status) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "globe_gateway_requests",
            "Requests by route and status (499: the client left)",
            ["route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "globe_gateway_answer_seconds",
            "Until the last byte of an answer",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tokens = Counter("globe_gateway_tokens", "Tokens of questions and answers", ["kind"], registry=self.registry)
        self.retries = Counter(
            "globe_gateway_upstream_failures",
            "Answers that did not come from where they were asked for first",
            ["place"],
            registry=self.registry,
        )
        for name, told, read in (
            ("in_flight", "Questions being answered", lambda: status.in_flight),
            ("engine_up", "Whether the engine answers its health check", lambda: status.up),
            ("engine_hung", "Whether the engine takes questions and answers none", lambda: status.hung),
            ("ready", "Whether new clients should come here", lambda: status.ready),
        ):
            Gauge(f"globe_gateway_{name}", told, registry=self.registry).set_function(read)

    def answered(self, scope: Mapping[str, Any], status: int, seconds: float) -> None:
        """Count a request that has ended."""
        path = scope["path"]
        route = path if path in ROUTES else "/static" if path.startswith("/static/") else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def used(self, usage: Mapping[str, Any] | None) -> None:
        """Count an answer's tokens."""
        for kind in ("prompt", "completion"):
            if isinstance(count := (usage or {}).get(f"{kind}_tokens"), int):
                self._tokens.labels(kind).inc(count)

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus, in a thread of its own."""
        start_http_server(port, host, self.registry)
