"""The trained reward model behind the API that GRPO asks, in this process: real scores without a server that takes minutes.

It answers with the log-probabilities of the first token, as vLLM does, from one forward pass of the merged checkpoint. A run of
the pipeline serves the same checkpoint with vLLM.
"""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from globe.data.images import load_image
from globe.models.checkpoints import Checkpoint
from globe.models.weights import load_model
from globe.served import MODEL_HEADER


class JudgeApp:
    """The HTTP application over one checkpoint; a server runs its `asgi`."""

    def __init__(self, judge: Checkpoint, name: str) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route
        from transformers import AutoProcessor

        self._processor = AutoProcessor.from_pretrained(judge.path)
        self._model = load_model(judge.path).eval()
        self._name = name
        self._headers = {MODEL_HEADER: judge.digest}
        self._one_at_a_time = asyncio.Lock()
        self.asgi = Starlette(
            routes=[Route("/v1/models", self.models), Route("/v1/chat/completions", self.chat, methods=["POST"])],
        )

    async def models(self, request: Any) -> Any:
        """The one model, as OpenAI's API lists it."""
        from starlette.responses import JSONResponse

        card = {"id": self._name, "object": "model", "created": 0, "owned_by": "bench"}
        return JSONResponse({"object": "list", "data": [card]}, headers=self._headers)

    async def chat(self, request: Any) -> Any:
        """The first token of the judge's answer, "yes" or "no", and the log-probabilities of both."""
        from starlette.responses import JSONResponse

        messages = (await request.json())["messages"]
        async with self._one_at_a_time:
            top = await asyncio.to_thread(self._first_token, messages)
        token = {**top[0], "top_logprobs": top}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": top[0]["token"]},
            "logprobs": {"content": [token]},
            "finish_reason": "length",
        }
        answer = {"id": "judge", "object": "chat.completion", "created": 0, "model": self._name, "choices": [choice]}
        return JSONResponse(answer, headers=self._headers)

    def _first_token(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import torch

        parts = [part for message in messages for part in message["content"]]
        picture = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        content = [{"type": "image"}, {"type": "text", "text": text}]
        prompt = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        image = load_image(base64.b64decode(picture.split(",", 1)[1]))
        inputs = self._processor(text=[prompt], images=[image], return_tensors="pt")
        with torch.inference_mode():
            logprobs = self._model(**inputs).logits[0, -1].float().log_softmax(-1)
        # Nothing else may be answered: vLLM is told to choose between the two words.
        words = {word: self._processor.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no")}
        found = [{"token": word, "logprob": float(logprobs[token]), "bytes": None} for word, token in words.items()]
        return sorted(found, key=lambda entry: -entry["logprob"])


@contextmanager
def served(judge: Checkpoint, name: str) -> Iterator[str]:
    """Serve a reward model on a free port of 127.0.0.1 while the block runs; yields the URL that ends in /v1."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(JudgeApp(judge, name).asgi, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the reward model's server did not start")
        time.sleep(0.05)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()
