"""The part of the Hub's interface that fetching a model asks of it, on this machine.

Real requests of the real client over HTTP: what is fetched, and from which revision, is seen here.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

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
    """One model: commits with their files, branches, and open pull requests."""

    commits: dict[str, dict[str, bytes]]
    main: str
    pulls: list[PullRequest] = field(default_factory=list)

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
    fetched: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            for name, repository in repositories.items():
                api, files = f"/api/models/{name}/", f"/{name}/resolve/"
                if url.path.startswith(api):
                    return self._api(repository, name, url.path[len(api) :], parse_qs(url.query))
                if url.path.startswith(files):
                    revision, _, file = url.path[len(files) :].partition("/")
                    return self._file(repository, unquote(revision), unquote(file))
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _api(
            self, repository: Repository, name: str, path: str, query: dict[str, list[str]]
        ) -> None:
            what, _, rest = path.partition("/")
            revision = unquote(rest)
            commit = repository.commit(revision)
            if what == "discussions":
                wanted = query.get("author", [""])[0]
                pulls = [
                    {
                        "num": pull.num,
                        "title": pull.title,
                        "author": {"name": pull.author},
                        "createdAt": DATE,
                        "status": "open",
                        "isPullRequest": True,
                        "repo": {"name": name, "type": "model"},
                    }
                    for pull in repository.pulls
                    if wanted in ("", pull.author)
                ]
                return self._json({"count": len(pulls), "start": 0, "discussions": pulls})
            if commit is None:
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            if what == "revision":
                return self._json({"id": name, "sha": commit, "siblings": [], "private": False})
            if what == "commits":
                parents = {pull.commit: pull.parent for pull in repository.pulls}
                history = [commit, *([parents[commit]] if commit in parents else [])]
                return self._json(
                    [
                        {"id": i, "authors": [], "date": DATE, "title": "", "message": ""}
                        for i in history
                    ]
                )
            assert what == "tree", path
            return self._json(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": etag(data)}
                    for file, data in repository.commits[commit].items()
                ]
            )

        def _file(self, repository: Repository, revision: str, file: str) -> None:
            commit = repository.commit(revision)
            data = repository.commits[commit].get(file) if commit else None
            if commit is None or data is None:
                return self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            if self.command == "GET":
                fetched.append(file)
            return self._send(200, data, {"X-Repo-Commit": commit, "ETag": f'"{etag(data)}"'})

        def _json(self, content: object) -> None:
            self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_address[1]}", fetched)
    finally:
        server.shutdown()
        server.server_close()


def etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
