"""The simulated teachers as one local HTTP server, over the same interface as real ones.

    python -m globe.demo.teacher_server --world FOLDER --port N

It serves the models toy-vlm-a and toy-vlm-b (POST /v1/chat/completions, as in OpenAI's API) and toy-coordinates
(POST /v1/coordinates). It is a simulation with known error rates, not a vision model: it recognizes a picture of its world by
the hash of the decoded RGB pixels, looks up the truth, and errs as `globe.demo.teachers` says. A picture that it doesn't know
is refused with 400. It listens on 127.0.0.1 only.
"""

import argparse
import asyncio
import base64
import binascii
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import uvicorn
from PIL import Image, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from globe.demo import teachers
from globe.demo.truth import WorldFile, load_world, pixel_hash
from globe.errors import InputError
from globe.run.local_server import END_WITH_STDIN, end_with_stdin, local_server

HOST = "127.0.0.1"
START_SECONDS = 60.0
NAMES = (*teachers.VLM_MODELS, f"coordinates:{teachers.COORDINATE_MODEL}")
"""The teachers as curation takes them, but for their URLs."""
MAX_BODY_BYTES = 8 * 1024 * 1024


class _Refused(Exception):
    """The request is wrong: answered with 400 and this text."""


class TeacherApp:
    """The HTTP application; a server runs its `asgi`."""

    def __init__(self, world: WorldFile) -> None:
        self._world = world
        self._ids = {truth.pixels: picture_id for picture_id, truth in world.truth.items()}
        self._attempts: Counter[tuple[str, str]] = Counter()
        self.asgi = Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/coordinates", self.coordinates, methods=["POST"]),
            ]
        )

    async def health(self, request: Request) -> Response:
        """Answer 200 while the server runs."""
        return JSONResponse({"status": "ok", "pictures": len(self._ids)})

    async def models(self, request: Request) -> Response:
        """The models by name, as OpenAI's API lists them."""
        names = (*teachers.VLM_MODELS, teachers.COORDINATE_MODEL)
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def chat(self, request: Request) -> Response:
        """A VLM teacher's judgement of the picture in the messages."""
        try:
            body = await _body(request)
            model = _known_model(body, teachers.VLM_MODELS)
            picture_id = self._recognize(_picture_url(body))
        except _Refused as error:
            return _refusal(error)
        if self._next_attempt_times_out(model, picture_id):
            return await self._stay_silent(request)
        truth = self._world.truth[picture_id]
        content = teachers.vlm_content(model, picture_id, truth, self._world.rates, self._world.seed)
        return JSONResponse(
            {
                "id": f"chatcmpl-{picture_id}",
                "object": "chat.completion",
                "created": 0,
                "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            }
        )

    async def coordinates(self, request: Request) -> Response:
        """The coordinate model's position of a picture."""
        try:
            body = await _body(request)
            model = _known_model(body, (teachers.COORDINATE_MODEL,))
            picture_id = self._recognize(body.get("image"))
        except _Refused as error:
            return _refusal(error)
        if self._next_attempt_times_out(model, picture_id):
            return await self._stay_silent(request)
        truth = self._world.truth[picture_id]
        return JSONResponse(teachers.coordinates(picture_id, truth, self._world.rates, self._world.seed))

    def _recognize(self, url: object) -> str:
        if not isinstance(url, str) or not url.startswith("data:image/") or ";base64," not in url[:64]:
            raise _Refused("the picture must be a base64 data URL")
        try:
            data = base64.b64decode(url.split(",", 1)[1], validate=True)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
                if picture.width * picture.height > 1024 * 1024:
                    raise _Refused("the picture is larger than any of this world")
                known = self._ids.get(pixel_hash(picture.convert("RGB")))
        except (binascii.Error, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise _Refused(f"the picture cannot be decoded: {error}") from error
        if known is None:
            raise _Refused("this picture is not of the toy world that the simulated teachers know")
        return known

    def _next_attempt_times_out(self, model: str, picture_id: str) -> bool:
        attempt = self._attempts[model, picture_id]
        self._attempts[model, picture_id] += 1
        return teachers.times_out(model, picture_id, attempt, self._world.rates, self._world.seed)

    async def _stay_silent(self, request: Request) -> Response:
        """Answer nothing for as long as the rates say, or until the client leaves."""
        try:
            async with asyncio.timeout(self._world.rates.timeout_s):
                while (await request.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
        return JSONResponse({"error": {"message": "timed out, as simulated", "type": "timeout"}}, status_code=504)


async def _body(request: Request) -> dict[str, object]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise _Refused(f"the request is larger than {MAX_BODY_BYTES} bytes")
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise _Refused("the request is no JSON") from error
    if not isinstance(body, dict):
        raise _Refused("the request is no JSON object")
    return body


def _known_model(body: dict[str, object], known: tuple[str, ...]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or model not in known:
        raise _Refused(f"no such model here; known: {', '.join(known)}")
    return model


def _picture_url(body: dict[str, object]) -> object:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and part.get("type") == "image_url":
                image = part.get("image_url")
                return image.get("url") if isinstance(image, dict) else image
    raise _Refused("no message holds an image_url")


def _refusal(error: _Refused) -> Response:
    return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error"}}, status_code=400)


@contextmanager
def running_teachers(world_folder: Path) -> Iterator[list[str]]:
    """Run the teachers of a world in a process of their own while the block runs.

    Yields:
        The teachers as curation takes them: "toy-vlm-a@http://127.0.0.1:PORT/v1", "toy-vlm-b@...",
        "coordinates:toy-coordinates@...".

    Raises:
        InputError: The folder holds no toy world.
        GlobeError: The server does not start.
    """
    load_world(world_folder)  # its error is clearer here than in the other process
    arguments = ["--world", str(world_folder)]
    with local_server("the simulated teachers", "globe.demo.teacher_server", arguments, start_s=START_SECONDS) as told:
        base = f"http://{HOST}:{told['port']}/v1"
        yield [f"{name}@{base}" for name in NAMES]


def main(arguments: list[str] | None = None) -> None:
    """Serve until told to end; print one JSON line with the port when listening."""
    parser = argparse.ArgumentParser(description="The toy world's simulated teachers, on 127.0.0.1.")
    parser.add_argument("--world", type=Path, required=True, help="folder written by the toy world")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument(END_WITH_STDIN, action="store_true", help="end when stdin is closed")
    given = parser.parse_args(arguments)
    if given.end_with_stdin:
        end_with_stdin()
    try:
        app = TeacherApp(load_world(given.world))
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
    listener = socket.create_server((HOST, given.port), backlog=512)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(app.asgi, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
