"""A server of OpenAI's interface in twenty lines, which logs what it was asked; its log is the truth."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE_S = 30.0
MODEL = "org/tiny"

# What each request is told to have taken: more tokens than pieces, so that counting pieces would show.
USAGE = {"prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47}


class Talk(http.server.BaseHTTPRequestHandler):
    """One request; what is done with it is the server's ``behave``."""

    protocol_version = "HTTP/1.1"
    server: Fake
    body: dict

    def do_GET(self):
        self.server.gets.append((self.path, dict(self.headers)))
        found = self.server.about.get(self.path)
        self.whole(
            found if found is not None else {"error": "no such path"}, 200 if found is not None else 404
        )

    def do_POST(self):
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.enter(self)
        try:
            self.server.behave(self)
        except OSError:
            self.server.cut_off += 1
        finally:
            self.leave()

    def leave(self):
        if not getattr(self, "left", False):
            self.left = True
            with self.server.lock:
                self.server.inside -= 1

    def whole(self, content, status=200, **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.leave_before_last()
        self.wfile.write(content)

    def leave_before_last(self):
        # The client may send its next request the moment it has this one's last byte.
        if self.command == "POST":
            self.leave()

    def start(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, data):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.chunk(b"data: " + data + b"\n\n")

    def chunk(self, content):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def pieces(self, n=3):
        for number in range(n):
            self.event({"choices": [{"index": 0, "delta": {"content": f"p{number}"}}], "usage": None})

    def end(self, usage=USAGE):
        if usage is not None:
            self.event({"choices": [], "usage": usage})
        self.leave_before_last()
        self.event(b"[DONE]")
        self.chunk(b"")

    def log_message(self, *args):
        pass


def answers(talk: Talk, usage=USAGE) -> None:
    if talk.path.endswith("/embeddings"):
        n = len(talk.body["input"])
        told = {"prompt_tokens": 10 * n, "total_tokens": 10 * n}
        return talk.whole({"data": [{"embedding": [0.5, 0.25]}] * n, "usage": told})
    if not talk.body["stream"]:
        reply = {"choices": [{"message": {"content": "Yes."}}]}
        return talk.whole(reply | ({"usage": usage} if usage else {}))
    talk.start()
    talk.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})
    talk.pieces()
    return talk.end(usage)


class Fake(http.server.ThreadingHTTPServer):
    """The server and its log. ``gate``: nothing is answered until so many requests have been there at once."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, behave: Callable[[Talk], None] = answers, owner: str = "", gate: int = 1):
        super().__init__(("127.0.0.1", 0), Talk)
        self.behave = behave
        self.about = {"/v1/models": {"data": [{"id": MODEL, "owned_by": owner}]}}
        self.lock = threading.Lock()
        self.gate = gate
        self.open = threading.Event()
        self.log: list[tuple[str, dict, dict, float]] = []
        self.gets: list[tuple[str, dict]] = []
        self.inside = self.peak = self.cut_off = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def enter(self, talk: Talk) -> None:
        with self.lock:
            self.inside += 1
            self.peak = max(self.peak, self.inside)
            self.log.append((talk.path, talk.body, dict(talk.headers), time.monotonic()))
            if self.peak >= self.gate:
                self.open.set()
        self.open.wait(PATIENCE_S)

    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def serving(*args, **kwargs) -> Iterator[Fake]:
    server = Fake(*args, **kwargs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.open.set()
        server.shutdown()
        server.server_close()
        thread.join()
