"""A model hub on loopback: the two endpoints that listing and downloading use, and faults on request.

GET /api/models/ORG/REPO[/revision/REV]?blobs=true   the listing
GET /ORG/REPO/resolve/COMMIT/FILE                    a redirect to /cdn/..., which serves bytes and honours ranges
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository. `cuts` are the bytes after which successive downloads break off; None serves to the end."""

    files: Mapping[str, bytes]
    cuts: list[int | None] = field(default_factory=list)
    listed_sha256: dict[str, str] = field(default_factory=dict)  # lies about a file
    small: tuple[str, ...] = ()  # suffixes of files that are no large ones, so that the listing has no hash of them
    token: str | None = None
    ignores_ranges: bool = False
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    endpoint: str = ""
    cdn: str = ""

    def fetched(self) -> list[str]:
        """The files whose bytes were asked for, in order."""
        return [path.removeprefix("/cdn/") for path, _ in self.requests if path.startswith("/cdn/")]

    def downloads(self) -> list[str | None]:
        """The Range header of each request for bytes."""
        return [headers.get("range") for path, headers in self.requests if path.startswith("/cdn/")]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Two servers, as a real hub has: credentials for the first are not for the second."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    hub.endpoint, hub.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if path.startswith("/cdn/"):
            return self._bytes(self.hub.files[path.removeprefix("/cdn/")])
        if self.hub.token and self.headers.get("authorization") != f"Bearer {self.hub.token}":
            return self._answer(401, b"{}")
        if path.startswith("/api/models/org/repo"):
            return self._answer(200, json.dumps(self._listing()).encode())
        name = path.removeprefix(f"/org/repo/resolve/{COMMIT}/")
        if name not in self.hub.files:
            return self._answer(404, b"{}")
        self.send_response(302)
        self.send_header("Location", f"{self.hub.cdn}/cdn/{name}")
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def _listing(self) -> dict[str, object]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": None
                if name.endswith(self.hub.small)
                else {"sha256": self._sha256(name, content), "size": len(content), "pointerSize": 130},
            }
            for name, content in self.hub.files.items()
        ]
        return {
            "id": "org/repo",
            "modelId": "org/repo",
            "sha": COMMIT,
            "siblings": siblings,
            "tags": [],
            "downloads": 0,
        }

    def _sha256(self, name: str, content: bytes) -> str:
        return self.hub.listed_sha256.get(name) or hashlib.sha256(content).hexdigest()

    def _bytes(self, content: bytes) -> None:
        start = 0
        asked = self.headers.get("range")
        if asked and not self.hub.ignores_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.hub.cuts.pop(0) if self.hub.cuts else None
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])
        self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests stay silent."""
