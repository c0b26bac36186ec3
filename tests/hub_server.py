"""A Hugging Face Hub small enough for a test: repositories in memory, served on the loopback address.

It speaks the part of the protocol that huggingface_hub's client needs to make a repository, upload to it (small files
in the commit, weights by Git LFS) and download from it.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """The server, and what it holds: `repos[name][path]` is a file's bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.large: dict[str, bytes] = {}
        self.log: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self, home) -> dict[str, str]:
        """What a process needs to take this server for the Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": "hf_dummy",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }


@contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: Hub

    def log_message(self, *args) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", path):
            if (files := self._repo(match[1])) is not None:
                siblings = [{"rfilename": each} for each in files]
                self._json(
                    {"_id": "0", "id": match[1], "sha": self._commit(match[1]), "siblings": siblings, "tags": []}
                )
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+", path):
            if (files := self._repo(match[1])) is not None:
                oids = {
                    each: hashlib.sha1(content, usedforsecurity=False).hexdigest() for each, content in files.items()
                }
                self._json(
                    [{"type": "file", "path": each, "size": len(files[each]), "oid": oid} for each, oid in oids.items()]
                )
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            if (files := self._repo(match[1])) is not None:
                if match[2] in files:
                    content = files[match[2]]
                    etag = hashlib.sha256(content).hexdigest()
                    self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": self._commit(match[1])})
                else:
                    self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self._commit(match[1])})
        else:
            self._send(404, b"", {})

    def do_POST(self) -> None:
        path = self._path()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != "Bearer hf_dummy":
            self._send(401, b"", {"X-Error-Message": "Invalid username or password."})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repos.setdefault(name, {})
            self._json({"url": f"{self.server.url}/{name}", "name": name, "id": "0"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/[^/]+", path):
            if self._repo(match[1]) is not None:
                paths = [each["path"] for each in json.loads(body)["files"]]
                modes = {each: "lfs" if each.endswith(".safetensors") else "regular" for each in paths}
                files = [{"path": each, "uploadMode": mode, "shouldIgnore": False} for each, mode in modes.items()]
                self._json({"files": files})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            actions = [
                each | {"actions": {"upload": {"href": f"{self.server.url}/large/{each['oid']}"}}} for each in objects
            ]
            self._json({"transfer": "basic", "objects": actions})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/[^/]+", path):
            if (files := self._repo(match[1])) is not None:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    elif line["key"] == "lfsFile":
                        files[line["value"]["path"]] = self.server.large[line["value"]["oid"]]
                oid = self._commit(match[1])
                self._json({"commitUrl": f"{self.server.url}/{match[1]}/commit/{oid}", "commitOid": oid})
        else:
            self._send(404, b"", {})

    def do_PUT(self) -> None:
        oid = self._path().removeprefix("/large/")
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.large[oid] = content
        self._send(200, b"", {})

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(f"{self.command} {path}")
        return path

    def _repo(self, name: str) -> dict[str, bytes] | None:
        if name not in self.server.repos:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        return self.server.repos.get(name)

    def _commit(self, name: str) -> str:
        digest = hashlib.sha1(name.encode(), usedforsecurity=False)
        for path, content in sorted(self.server.repos[name].items()):
            digest.update(path.encode() + content)
        return digest.hexdigest()

    def _json(self, value) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
