"""A loopback stand-in of the Hub under the real huggingface_hub: it takes repositories and commits, keeps and hands out what it holds.

It answers slowly, fails, breaks off, hands out something else than it took, or is changed by somebody else, where a test asks for that.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping


class Requests(http.server.BaseHTTPRequestHandler):
    """What a push asks for, in its order: a repository, which files are large (none), a commit of all."""

    protocol_version = "HTTP/1.1"
    server: FakeHub

    def do_POST(self):
        body = self._body()
        if self._troubled():
            return
        path = urllib.parse.unquote(self.path)
        if path == "/api/repos/create":
            asked = json.loads(body)
            owner = asked.get("organization") or "somebody"
            self._answer({"url": f"{self.server.address}/{owner}/{asked['name']}"})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            self._answer(
                {
                    "files": [
                        {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for file in files
                    ]
                }
            )
        elif "/commit/" in path:
            self._commit(path, body)
        elif path == "/api/validate-yaml":
            content = json.loads(body)["content"]
            self.server.validated.append(content)
            errors = self.server.objects(content)
            told = {"errors": [{"message": one} for one in errors], "warnings": []}
            self._answer(told, 400 if errors else 200)
        else:
            self._answer({"error": "no such path"}, 404)

    def _commit(self, path: str, body: bytes):
        lines = [json.loads(line) for line in body.splitlines() if line]
        header = next(line["value"] for line in lines if line["key"] == "header")
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        repository = path.split("/api/models/")[1].split("/commit/")[0]
        parent = header.get("parentCommit")
        head = self.server.heads.get(repository)
        if parent is not None and parent != head:
            self._answer({"error": "A commit has happened since. Please refresh and try again."}, 412)
            return
        if self.headers.get("Authorization") in self.server.refused:
            self._answer({"error": "You are not authorized to write"}, 403)
            return
        proposed = "create_pr=1" in path
        self.server.commits.append((header["summary"], files))
        oid = f"{len(self.server.commits):040x}"
        held = {**self.server.trees.get(head, {}), **files}
        self.server.trees[oid] = held
        pull = {}
        if proposed:
            self.server.trees["refs/pr/1"] = held
            pull = {"pullRequestUrl": f"{self.server.address}/{repository}/discussions/1"}
        elif repository in self.server.heads:
            self.server.heads[repository] = oid
        self._answer(
            {
                "success": True,
                "commitOid": oid,
                "commitUrl": f"{self.server.address}/{repository}/commit/{oid}",
                "hookOutput": "",
                **pull,
            }
        )

    def do_GET(self):
        if self._troubled():
            return
        path = urllib.parse.unquote(self.path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/?]+)(?:\?.*)?", path):
            if (head := self.server.heads.get(found[1])) is not None:
                self._answer({"id": found[1], "sha": head, "siblings": []})
                return
        elif (found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(.+)/([^/]+)", path)) and (
            found[1] in self.server.heads
        ):
            content = self.server.trees.get(found[2], {}).get(found[3])
            if content is None:
                self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            else:
                self._hand_out(self.server.hands_out(found[3], content), found[2])
            return
        self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _troubled(self) -> bool:
        """Whether this request ends otherwise than it should."""
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        for part, trouble in list(self.server.troubles.items()):
            if part in f"{self.command} {urllib.parse.unquote(self.path)}":
                return trouble(self)
        return False

    def _hand_out(self, content: bytes, revision: str):
        oid = revision if re.fullmatch("[0-9a-f]{40}", revision) else "f" * 40
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", oid)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, content: dict, status: int = 200, headers: Mapping[str, str] | None = None):
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_):
        pass


class FakeHub(http.server.ThreadingHTTPServer):
    """``commits``: of each its summary, and its files by path. ``heads`` and ``trees``: the models that it holds (``holds``).

    ``troubles``: what befalls a request whose ``METHOD path`` holds a text; ``objects``: what it has against a card; ``asked``: what it
    was asked for, and with which authorization.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Requests)
        self.commits: list[tuple[str, dict[str, bytes]]] = []
        self.heads: dict[str, str] = {}
        self.trees: dict[str, dict[str, bytes]] = {}
        self.troubles: dict[str, Callable[[Requests], bool]] = {}
        self.refused: set[str] = set()
        self.objects: Callable[[str], list[str]] = lambda content: []
        self.hands_out: Callable[[str, bytes], bytes] = lambda name, content: content
        self.asked: list[tuple[str, str, str | None]] = []
        self.validated: list[str] = []

    def holds(self, repository: str, files: Mapping[str, bytes], commit: str = "a" * 40):
        self.heads[repository] = commit
        self.trees[commit] = dict(files)

    def now(self, repository: str) -> dict[str, bytes]:
        return self.trees[self.heads[repository]]

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


def says(status: int, text: str = "no") -> Callable[[Requests], bool]:
    """It answers with this status."""

    def trouble(request: Requests) -> bool:
        request._answer({"error": text}, status)
        return True

    return trouble


def waits(seconds: float) -> Callable[[Requests], bool]:
    """It answers as it should, after a while."""

    def trouble(request: Requests) -> bool:
        time.sleep(seconds)
        return False

    return trouble


def breaks_off(request: Requests) -> bool:
    """It closes the connection without an answer."""
    request.close_connection = True
    return True
