#!/commands/python3
"""Stands in for `vllm serve` in pods, so that tests of the deployment need neither the engine nor its image.

It takes vLLM's command line and behaves as `behaviour.json` in the model's folder says:
{"say": text for the log, "exit": code to end with, "allocate_mb": memory to take, "deaf": never listen, "takes_s": seconds of an
answer}.

Asked at /v1/chat/completions it looks at nothing, and answers its model's folder. Told to end it does as vLLM 0.32 does:
what is under way ends whole, what is new is 500 "cannot schedule new futures after shutdown".
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def writable(folder):
    try:
        probe = Path(folder, f".probe-{os.getpid()}")
        probe.write_text("")
        probe.unlink()
    except OSError:
        return False
    return True


def seen_inside():
    """What a pod's restrictions look like from within."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "capabilities": int(status["CapEff"], 16),
        "no_new_privileges": status["NoNewPrivs"] == "1",
        "writable": [folder for folder in ("/", "/tmp", "/dev/shm", "/mnt/globe") if writable(folder)],
        "shm": [mount[2] for mount in mounts if mount[1] == "/dev/shm"][-1],
        "token": Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists(),
    }


class Work:
    """How many questions are under way, and whether new ones are taken."""

    def __init__(self):
        self.count, self.ending = 0, False
        self.changed = threading.Condition()

    def begin(self):
        with self.changed:
            self.count += not self.ending
            return not self.ending

    def end(self):
        with self.changed:
            self.count -= 1
            self.changed.notify_all()

    def finish(self):
        """Take nothing new, wait for the rest, and end."""
        with self.changed:
            self.ending = True
            self.changed.wait_for(lambda: self.count == 0, timeout=45)
        time.sleep(0.2)  # the last answer is on its way
        os._exit(0)


work = Work()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not work.begin():
            return self.send(500, {"error": {"message": "cannot schedule new futures after shutdown", "code": 500}})
        try:
            time.sleep(self.server.takes_s)
            message = {"role": "assistant", "content": Path(sys.argv[2]).name}
            choices = [
                {"index": i, "message": message, "logprobs": None, "finish_reason": "stop"} for i in range(body.get("n") or 1)
            ]
            usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
            answer = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": choices}
            self.send(200, answer | {"usage": usage})
        finally:
            work.end()

    def send(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        name = sys.argv[sys.argv.index("--served-model-name") + 1]
        answers = {"/health": {}, "/v1/models": {"data": [{"id": name}]}, "/inside": seen_inside()}
        self.send(200 if self.path in answers else 404, answers.get(self.path, {}))

    def log_message(self, *arguments):
        pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=work.finish).start())
    assert sys.argv[1] == "serve", sys.argv
    folder = Path(sys.argv[2])
    print(f"loading {folder}", flush=True)
    if not folder.is_dir():
        sys.exit(f"OSError: {folder} is no folder of a model")
    file = folder / "behaviour.json"
    behaviour = json.loads(file.read_text()) if file.exists() else {}
    if "say" in behaviour:
        print(behaviour["say"], flush=True)
    if "allocate_mb" in behaviour:
        held = bytearray(behaviour["allocate_mb"] << 20)
        held[::4096] = b"1" * len(held[::4096])
    if "exit" in behaviour:
        sys.exit(behaviour["exit"])
    while behaviour.get("deaf"):
        time.sleep(1)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    host = sys.argv[sys.argv.index("--host") + 1]
    server = ThreadingHTTPServer((host, port), Handler)
    server.takes_s = behaviour.get("takes_s", 0)
    server.serve_forever()


if __name__ == "__main__":
    main()
