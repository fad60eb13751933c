"""A teacher that answers whatever a test wants, over real HTTP."""

import json
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from odd_photos import reply_about

from globe.curation.teachers.teacher import Teacher


def completion(content):
    return json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}).encode()


class Scripted:
    """`answer(path, body) -> (status, headers, bytes)` decides each reply, `body` being None for a GET; `requests` keeps all.

    Asked for its models, it says that it has no list, or what `lists` is or returns: entries of one, or (status, headers, bytes).
    """

    def __init__(self, answer):
        self.answer = answer
        self.lists = (404, {}, b"{}")
        self.requests = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if self.path != "/v1/models":
                    self.do_POST()
                    return
                lists = scripted.lists() if callable(scripted.lists) else scripted.lists
                if isinstance(lists, tuple):
                    self.reply(*lists)
                else:
                    self.reply(200, {}, json.dumps({"object": "list", "data": lists}).encode())

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
                scripted.requests.append((self.path, body, self.headers))
                self.reply(*scripted.answer(self.path, body))

            def reply(self, status, headers, data):
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # the client had enough

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # all calls of a part may connect at once; one that is dropped comes again after 1 s

            def handle_error(self, request, client_address):
                pass  # a client that hangs up on a hostile reply is what the tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def serve():
    running = []

    def start(answer):
        running.append(Scripted(answer))
        return running[-1]

    yield start
    for scripted in running:
        scripted.server.shutdown()
        scripted.server.server_close()


@pytest.fixture
def good_reply():
    return {
        "localizable": True,
        "score": 0.9,
        "country": "Italy",
        "city": "Rome",
        "reasoning": "cobbles, poplars, red roofs",
        "elements": ["cobbles", "poplars", "red roofs"],
    }


@pytest.fixture
def pair(serve):
    """Two teachers who always say the same of a picture, and the server that they share."""

    def answer(path, body):
        picture = b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])
        content = json.dumps(reply_about(body["model"], picture))
        return 200, {}, completion(content)

    server = serve(answer)
    return [Teacher("vlm", name, server.url) for name in ("a", "b")], server
