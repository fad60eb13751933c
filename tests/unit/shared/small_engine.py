"""`globe serve` with something small instead of vLLM: ``python small_engine.py CHECKPOINT OPTION ...``.

The supervision, the gateway, the key between the two and all processes are the real ones; the engine answers as vLLM does, to
whoever has the key, and is a process of its own (``python small_engine.py --engine PORT``).
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from recording_engine import MODEL, completion


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_all(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        file = os.environ.get("GLOBE_SERVER_KEY_FILE")
        key = Path(file).read_text() if file else os.environ.get("GLOBE_SERVER_KEY", "")
        if self.path == "/health":
            self.tell(200, {})
        elif key and self.headers.get("Authorization") != f"Bearer {key}":
            self.tell(401, {"error": {"message": "no key", "code": 401}})
        elif self.path == "/v1/models":
            self.tell(200, {"object": "list", "data": [{"id": MODEL, "max_model_len": 2048}]})
        else:
            self.tell(200, completion(json.loads(body)))

    def tell(self, status: int, document: dict) -> None:
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = handle_all

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    if sys.argv[1] == "--engine":
        print("INFO:     Application startup complete.", flush=True)
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
    from globe.cli.app import main as globe
    from globe.serving import front

    front.vllm_command = lambda checkpoint, name, recipe, port: [sys.executable, __file__, "--engine", str(port)]
    sys.argv[1:1] = ["serve"]
    globe()


if __name__ == "__main__":
    main()
