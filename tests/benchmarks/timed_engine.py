"""A server that stands for a vLLM on a machine of its own: answers take as long as told, however many are under way.

``python tests/benchmarks/timed_engine.py PORT SECONDS``. It computes nothing, so that what clients see beside these seconds is
what lies between it and them. Answers differ in length, so they take up to a fifth less or more, spread evenly; if all took
the same, clients that wait for one another would ask in step. How an engine slows with what it has to do is not simulated.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

from aiohttp import web

from globe.serving.guard import MODEL_HEADER

MODEL = "globe"
DIGEST = "0" * 64
MAX_BODY_BYTES = 64 * 1024 * 1024
SPREAD = 0.2
"""How much less or more than on average an answer takes, at most."""
GOLDEN = 0.6180339887
"""Multiples of it, without their whole parts, are spread evenly however many there are."""
ANSWER = "<think>A street.</think><answer>country: Peru\ncity: Lima</answer>"


def document(model: str, logprobs: bool) -> dict[str, Any]:
    """What vLLM answers to a question for one answer, as 0.32 writes it."""
    tokens = [{"token": word, "logprob": -0.1, "bytes": list(word.encode()), "top_logprobs": []} for word in ANSWER.split(" ")]
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER, "reasoning": None, "tool_calls": []}}
    choice |= {"logprobs": {"content": tokens} if logprobs else None, "finish_reason": "stop", "stop_reason": None}
    usage = {"prompt_tokens": 1400, "completion_tokens": len(tokens), "total_tokens": 1400 + len(tokens)}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return told | {"system_fingerprint": "vllm-0.32.0", "prompt_token_ids": None}


def application(seconds: float) -> web.Application:
    """The server.

    Args:
        seconds: What an answer takes on average.
    """
    numbers = itertools.count()

    async def complete(request: web.Request) -> web.Response:
        share = 1 + SPREAD * (2 * (next(numbers) * GOLDEN % 1) - 1)
        ends = asyncio.get_running_loop().time() + seconds * share
        asked = json.loads(await request.read())
        body = json.dumps(document(asked["model"], bool(asked.get("logprobs")))).encode()
        await asyncio.sleep(ends - asyncio.get_running_loop().time())
        return web.Response(body=body, content_type="application/json", headers={MODEL_HEADER: DIGEST})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 8192}]})

    async def well(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models), web.get("/health", well)])
    return app


if __name__ == "__main__":
    web.run_app(application(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=lambda *_: None)
