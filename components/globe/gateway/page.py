"""The page at /: where people show the model a photo. Its files are this package's own; it needs nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import html
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings
from globe.gateway.state import Gateway

KINDS = {"css": "text/css", "html": "text/html", "js": "text/javascript", "json": "application/json", "svg": "image/svg+xml"}
STATIC = (
    "app.js", "ask.js", "drawing.js", "geo.js", "history.js", "icon.svg", "map.js", "picture.js", "places.js", "show.js",
    "style.css", "words.js", "world.js", "world.json",
)  # fmt: skip
"""Every file that is served below /static/, and no other."""
TRIES = 5
"""Answers of the model for one photo: their agreement is what the page calls sureness."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""What a browser lets the page do: neither a script nor a style within a text, and no request to another host."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # kept, but asked about each time: after an update no old script meets a new page
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class File:
    """A file of the page, ready to be sent."""

    kind: str
    plain: bytes
    packed: bytes
    """The same with gzip."""
    digest: str

    @classmethod
    def of(cls, name: str, content: bytes) -> File:
        """A file by its name, whose ending says what it is."""
        kind = KINDS[name.rpartition(".")[2]]
        kind += "" if kind in ("application/json", "image/svg+xml") else "; charset=utf-8"
        return cls(kind, content, gzip.compress(content, 9, mtime=0), hashlib.sha256(content).hexdigest()[:20])

    def answer(self, request: Request) -> Response:
        """The file, or 304 for whoever has it already."""
        packs = "gzip" in [one.partition(";")[0].strip() for one in request.headers.get("accept-encoding", "").split(",")]
        tag = f'"{self.digest}{"-gzip" if packs else ""}"'
        headers = HEADERS | {"ETag": tag}
        known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
        if tag in known:
            return Response(status_code=304, headers=headers)
        headers |= {"Content-Encoding": "gzip"} if packs else {}
        return Response(self.packed if packs else self.plain, media_type=self.kind, headers=headers)


def index(settings: GatewaySettings) -> bytes:
    """The page, told what it has to know of this gateway."""
    told = {
        "samples": min(TRIES, settings.max_samples),
        "max_bytes": settings.max_body_bytes,
        "key": "" if settings.keys_file is None else "required",
        "precision": settings.max_precision,
        "model": settings.model,
    }
    page = (files("globe.gateway") / "static" / "index.html").read_text(encoding="utf-8")
    for name, value in told.items():
        page = page.replace(f"{{{{{name}}}}}", html.escape(str(value)))
    return page.encode()


def router(gateway: Gateway) -> APIRouter:
    """GET / and GET /static/NAME; nothing where the operator wants no page."""
    routes = APIRouter()
    if not gateway.settings.page:
        return routes
    page = File.of("index.html", index(gateway.settings))
    static = {name: File.of(name, (files("globe.gateway") / "static" / name).read_bytes()) for name in STATIC}

    @routes.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def show(request: Request) -> Response:
        return page.answer(request)

    @routes.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def send(name: str, request: Request) -> Response:
        if name not in static:
            raise Refused(404, "there is no such file", "not_found")
        return static[name].answer(request)

    return routes
