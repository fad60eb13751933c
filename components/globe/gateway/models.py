"""GET /v1/models: the one model that may be asked for."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from globe.gateway.documents import ModelList
from globe.gateway.state import Gateway


def router(gateway: Gateway) -> APIRouter:
    """The route."""
    routes = APIRouter()
    created = int(time.time())

    @routes.get("/v1/models", responses={200: {"model": ModelList}}, summary="What there is to ask", tags=["model"])
    async def models(request: Request) -> Any:
        """The one model's name, and how much it can read.

        vLLM tells the folder of the checkpoint, too, by which `globe locate` on the same machine finds its prompt and radius.
        That folder is nobody else's business, so it is told only where the operator has said that clients are on this machine.
        """
        gateway.keys.client(request.headers.get("authorization"))
        settings, status = gateway.settings, gateway.status
        card: dict[str, Any] = {"id": settings.model, "object": "model", "created": created, "owned_by": "globe"}
        if status.max_model_len:
            card["max_model_len"] = status.max_model_len
        if settings.show_checkpoint and settings.checkpoint:
            card["root"] = str(settings.checkpoint.absolute())
        return {"object": "list", "data": [card]}

    return routes
