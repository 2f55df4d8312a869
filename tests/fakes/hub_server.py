"""A loopback stand-in of the Hub under the real huggingface_hub: it takes repositories and commits, and keeps what was uploaded."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator


class Requests(http.server.BaseHTTPRequestHandler):
    """What a push asks for, in its order: a repository, which files are large (none), a commit of all."""

    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_POST(self):
        body = self._body()
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or "somebody"
            self._answer({"url": f"{self.server.address}/{owner}/{asked['name']}"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self._answer(
                {
                    "files": [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in files
                    ]
                }
            )
        elif "/commit/" in self.path:
            lines = [json.loads(line) for line in body.splitlines() if line]
            summary = next(line["value"]["summary"] for line in lines if line["key"] == "header")
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            self.server.commits.append((summary, files))
            repository = self.path.split("/api/models/")[1].split("/commit/")[0]
            oid = f"{len(self.server.commits):040x}"
            self._answer(
                {
                    "success": True,
                    "commitOid": oid,
                    "commitUrl": f"{self.server.address}/{repository}/commit/{oid}",
                    "hookOutput": "",
                }
            )
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            self._answer({"error": "no such path"}, 404)

    def do_GET(self):
        self._answer({"error": "Repository not found"}, 404)

    do_HEAD = do_GET

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, content: dict, status: int = 200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_):
        pass


class FakeHub(http.server.ThreadingHTTPServer):
    """``commits``: of each its summary, and its files by path."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Requests)
        self.commits: list[tuple[str, dict[str, bytes]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """Under which huggingface_hub talks to it."""
        return {
            "HF_ENDPOINT": self.address,
            "HF_TOKEN": "hf_none",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
        }


@contextlib.contextmanager
def running() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
