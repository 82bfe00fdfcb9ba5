"""A Hub of one dataset: as much of its HTTP as the libraries ask for to stream it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

from huggingface_hub import metadata_load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(folder: Path, repo: str) -> Iterator[str]:
    """Serve `folder` as the dataset `repo`, whose `main` is at `COMMIT`; give the address."""
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            api = f"/api/datasets/{repo}"
            if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
                card = metadata_load(files["README.md"]) if "README.md" in files else {}
                names = [{"rfilename": name} for name in files]
                self._json({"id": repo, "sha": COMMIT, "cardData": card, "siblings": names})
            elif match := re.match(rf"{api}/tree/{COMMIT}/?(.*)", path):
                self._json(self._listing(match[1]))
            elif (match := re.match(rf"/datasets/{repo}/resolve/{COMMIT}/(.*)", path)) and (
                match[1] in files
            ):
                self._file(files[match[1]])
            else:
                code = "EntryNotFound" if "resolve" in path else "RevisionNotFound"
                known = path.startswith((api + "/", f"/datasets/{repo}/"))
                self._send(404, b"{}", {"X-Error-Code": code if known else "RepoNotFound"})

        def _entries(self) -> list[dict[str, object]]:
            folders = {parent for name in files for parent in Path(name).parents} - {Path()}
            return [
                {"type": "directory", "path": str(parent), "oid": "0" * 40, "size": 0}
                for parent in sorted(folders)
            ] + [
                {"type": "file", "path": name, "oid": "0" * 40, "size": path.stat().st_size}
                for name, path in files.items()
            ]

        def _listing(self, inside: str) -> list[dict[str, object]]:
            recursive = "recursive=true" in self.path.lower()
            prefix = f"{inside}/" if inside else ""
            return [
                entry
                for entry in self._entries()
                if str(entry["path"]).startswith(prefix)
                and (recursive or "/" not in str(entry["path"])[len(prefix) :])
            ]

        def _file(self, path: Path) -> None:
            data, status = path.read_bytes(), 200
            headers = {"ETag": '"1"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                first, last = int(asked[1]), int(asked[2] or len(data) - 1)
                headers["Content-Range"] = f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
                data, status = data[first : last + 1], 206
            self._send(status, data, headers)

        def _json(self, content: object) -> None:
            self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
