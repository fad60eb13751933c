"""The application: its routes and what surrounds all of them."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from globe.gateway.keys import KeyRing
from globe.gateway.limits import Limits
from globe.gateway.pictures import Pictures
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway
from globe.gateway.upstream import Upstream


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI application."""
    gateway = Gateway(settings, KeyRing(settings), Limits(settings), Pictures(settings), Upstream(settings))
    app = FastAPI(title="GLOBE", docs_url=None, redoc_url=None)
    app.state.gateway = gateway

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> JSONResponse:
        return JSONResponse(refused.body, refused.status, refused.headers)

    return app
