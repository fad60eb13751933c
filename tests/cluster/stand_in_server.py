#!/commands/python3
"""Stands in for `vllm serve` in pods, so that tests of the deployment need neither the engine nor its image.

It takes vLLM's command line and behaves as `behaviour.json` in the model's folder says:
{"say": text for the log, "exit": code to end with, "allocate_mb": memory to take, "deaf": never listen}.
"""

import json
import os
import signal
import sys
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


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = sys.argv[sys.argv.index("--served-model-name") + 1]
        answers = {"/health": {}, "/v1/models": {"data": [{"id": name}]}, "/inside": seen_inside()}
        body = json.dumps(answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
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
    ThreadingHTTPServer(("0.0.0.0", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
