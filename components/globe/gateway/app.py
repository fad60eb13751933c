"""The application: its routes and what surrounds all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from globe.gateway import chat, health, locate, models, page
from globe.gateway.bodies import Bodies
from globe.gateway.documents import ERRORS, describe
from globe.gateway.edge import Crowd, Edge
from globe.gateway.engine import EngineKey
from globe.gateway.engine_metrics import EngineMetrics
from globe.gateway.invalid import invalid
from globe.gateway.keys import KeyRing
from globe.gateway.limits import Limits
from globe.gateway.metrics import Metrics
from globe.gateway.pictures import Pictures
from globe.gateway.ready import Watch
from globe.gateway.refused import NOTHING_HERE, Refused
from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway
from globe.gateway.status import Status
from globe.gateway.upstream import Upstream


def create_app(settings: GatewaySettings) -> FastAPI:
    """The gateway as an ASGI application; `app.state.gateway` has its parts.

    Raises:
        InputError: A setting cannot be used.
    """
    status = Status()
    metrics = Metrics(status)
    metrics.registry.register(EngineMetrics(settings.engine_url, EngineKey().header))
    upstream = Upstream(settings, status, metrics)
    gateway = Gateway(settings, KeyRing(settings), Limits(settings), Pictures(settings), upstream, status, metrics)
    app = FastAPI(title="GLOBE", version="1", docs_url=None, redoc_url=None, lifespan=_lifespan, redirect_slashes=False)
    app.state.gateway = gateway
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    for routes in (chat.router, models.router, locate.router, health.router):
        app.include_router(routes(gateway), responses=ERRORS)
    app.include_router(page.router(gateway))
    _add_errors(app)
    app.add_middleware(Crowd, gateway=gateway)  # whose whole request has come, thanks to the next one
    app.add_middleware(Bodies, settings=settings, keys=gateway.keys)
    app.add_middleware(Edge, gateway=gateway)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    gateway: Gateway = app.state.gateway
    watching = asyncio.create_task(Watch(gateway).forever())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await gateway.upstream.close()


def _add_errors(app: FastAPI) -> None:
    """Every error has the same shape, whoever finds it."""

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> JSONResponse:
        return JSONResponse(refused.body, refused.status, refused.headers)

    @app.exception_handler(RequestValidationError)
    async def not_understood(_: Request, error: RequestValidationError) -> JSONResponse:
        return await refuse(_, invalid(error.errors()))

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> JSONResponse:
        allowed = (error.headers or {}).get("Allow", "another one")
        told = {
            404: Refused(404, NOTHING_HERE, "not_found"),
            405: Refused(405, f"not with this method; here it is {allowed}", "method_not_allowed"),
        }.get(error.status_code) or Refused(error.status_code, "the request cannot be read", "invalid_request")
        answer = await refuse(_, told)
        answer.headers.update(error.headers or {})  # a 405 says which methods there are
        return answer
