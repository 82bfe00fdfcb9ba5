"""As much of the Hub, on this machine, as fetching models and streaming datasets ask for.

Real requests of the real clients over HTTP: what is fetched, and from which revision, is seen here.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from huggingface_hub import RepoCard

EMPTY = "0" * 40
DATE = "2024-01-01T00:00:00.000Z"


@dataclass
class PullRequest:
    num: int
    title: str
    author: str
    commit: str
    parent: str


@dataclass
class Repository:
    """A model or dataset: commits with their files, the main branch, and open pull requests."""

    commits: dict[str, dict[str, bytes]]
    main: str
    pulls: list[PullRequest] = field(default_factory=list)
    kind: str = "model"

    @classmethod
    def of_dataset(cls, folder: Path, commit: str) -> "Repository":
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return cls({commit: files}, commit, kind="dataset")

    def commit(self, revision: str) -> str | None:
        refs = {f"refs/pr/{pull.num}": pull.commit for pull in self.pulls}
        known = {"main": self.main, **refs, **{commit: commit for commit in self.commits}}
        return known.get(revision)


@dataclass
class Hub:
    """A running server: its address, and the files that were fetched from it, in order."""

    url: str
    fetched: list[str]


@contextmanager
def serving(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """Serve some repositories by name until the block ends."""
    hub = Hub("", [])

    class Handler(_Handler):
        served = repositories
        fetched = hub.fetched

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Repository]
    fetched: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        for name, repository in self.served.items():
            api = f"/api/{repository.kind}s/{name}"
            files = f"{'/datasets' * (repository.kind == 'dataset')}/{name}/resolve/"
            if url.path == api or url.path.startswith(f"{api}/"):
                rest = url.path[len(api) + 1 :]
                return self._api(repository, name, rest, parse_qs(url.query.lower()))
            if url.path.startswith(files):
                revision, _, file = url.path[len(files) :].partition("/")
                return self._file(repository, unquote(revision), unquote(file))
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        """A new repository, and a commit to it whose files come within the request."""
        path, here = urlsplit(self.path).path, f"http://{self.headers['Host']}"
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        if path == "/api/repos/create":
            asked = json.loads(lines[0])
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.served.setdefault(name, Repository({EMPTY: {}}, EMPTY))
            return self._json({"url": f"{here}/{name}"})
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        name, what = re.fullmatch(r"/api/models/(.+)/(preupload|commit)/main", path).groups()
        if what == "preupload":
            files = json.loads(lines[0])["files"]
            each = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            return self._json({"files": each})
        values = [json.loads(line) for line in lines]
        files = {
            value["value"]["path"]: base64.b64decode(value["value"]["content"])
            for value in values
            if value["key"] == "file"
        }
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.served[name].commits[commit] = files
        self.served[name].main = commit
        url = f"{here}/{name}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def _api(self, repository: Repository, name: str, path: str, query: dict[str, Any]) -> None:
        what, _, rest = path.partition("/")
        if what == "discussions":
            return self._json(_discussions(repository, name, query.get("author", [""])[0]))
        revision, _, inside = rest.partition("/") if what == "tree" else (rest, "", "")
        commit = repository.commit(unquote(revision) or "main")
        if commit is None:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = repository.commits[commit]
        if what == "commits":
            parents = {pull.commit: pull.parent for pull in repository.pulls}
            history = [commit, *([parents[commit]] if commit in parents else [])]
            entry = {"authors": [], "date": DATE, "title": "", "message": ""}
            return self._json([{"id": one, **entry} for one in history])
        if what == "tree":
            return self._json(
                _listing(files, unquote(inside), "true" in query.get("recursive", []))
            )
        assert what in ("", "revision"), path
        card = RepoCard(files.get("README.md", b"").decode(), ignore_metadata_errors=True).data
        siblings = [{"rfilename": file} for file in files]
        about = {"id": name, "sha": commit, "private": False, "siblings": siblings}
        return self._json({**about, "cardData": card.to_dict()})

    def _file(self, repository: Repository, revision: str, file: str) -> None:
        commit = repository.commit(revision)
        data = repository.commits[commit].get(file) if commit else None
        if commit is None or data is None:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.fetched.append(file)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag(data)}"', "Accept-Ranges": "bytes"}
        if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, end = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data))
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
            return self._send(206, data[first:end], headers)
        return self._send(200, data, headers)

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _discussions(repository: Repository, name: str, author: str) -> dict[str, Any]:
    pulls = [
        {
            "num": pull.num,
            "title": pull.title,
            "author": {"name": pull.author},
            "createdAt": DATE,
            "status": "open",
            "isPullRequest": True,
            "repo": {"name": name, "type": repository.kind},
        }
        for pull in repository.pulls
        if author in ("", pull.author.lower())
    ]
    return {"count": len(pulls), "start": 0, "discussions": pulls}


def _listing(files: dict[str, bytes], inside: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{inside}/" if inside else ""
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    entries = [
        *({"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders),
        *(
            {"type": "file", "path": path, "oid": etag(data), "size": len(data)}
            for path, data in files.items()
        ),
    ]
    return [
        entry
        for entry in entries
        if entry["path"].startswith(prefix)
        and (recursive or "/" not in entry["path"][len(prefix) :])
    ]


def etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
