"""GET /health, /ready and /live: what a cluster asks to know where to send requests, and what to start again."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from globe.gateway.refused import Refused
from globe.gateway.state import Gateway

SOON_S = 5.0


def router(gateway: Gateway) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["health"])
    status = gateway.status

    @routes.get("/health", summary="Whether the gateway lives")
    async def health(response: Response) -> dict[str, Any]:
        """200 for as long as this process answers, whatever the engine does; the connection is closed once it is to end."""
        if status.draining:  # by which the engine's container knows, see `globe.serving.outlive`
            response.headers["connection"] = "close"
        return {"status": "ok"}

    @routes.get("/ready", summary="Whether to send questions here")
    async def ready() -> dict[str, Any]:
        """200 once the engine has answered a question with a picture, until it stops answering or this process is to end."""
        if status.ready:
            return {"status": "ready"}
        why = (
            ("shutting_down", "this server is shutting down")
            if status.leaving
            else ("hung", "the engine takes questions and answers none")
            if status.hung
            else ("starting", "the engine has not answered a question yet")
            if status.up
            else ("no_engine", "the engine does not answer")
        )
        raise Refused(503, why[1], why[0], retry_after_s=SOON_S)

    @routes.get("/live", summary="Whether the engine hangs")
    async def live() -> dict[str, Any]:
        """503 if the engine takes questions, or its server connections, and answers none, which only a new start helps.

        One that is down, or starts, is not hung.
        """
        if status.hung:
            raise Refused(503, "the engine takes questions and answers none", "hung", retry_after_s=SOON_S)
        return {"status": "live"}

    return routes
