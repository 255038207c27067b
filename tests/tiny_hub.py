"""A stand-in for the Hugging Face Hub: what its client asks for, answered on this machine."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from huggingface_hub import constants

TOKEN = "hf_write"


class TinyHub(ThreadingHTTPServer):
    """Repositories in memory; each commit is kept whole. A dataset's name begins with 'datasets/'.

    `repos` maps a name to {'private', 'commits': {sha: {file: bytes}}, 'refs': {branch: sha}},
    `requests` lists (method, path) as they came. The files named in `large` are announced with
    their sha256, as those in Git LFS are, or with the hash that it has for them.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos, self.requests, self.down, self.large = {}, [], False, {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, name, files, *, private=False, branch="main"):
        """Commit `files`, {file: bytes}, over those that are there."""
        repo = self.repos.setdefault(name, {"private": private, "commits": {}, "refs": {}})
        before = repo["commits"].get(repo["refs"].get(branch), {})
        after = {**before, **files}
        digest = hashlib.sha1(repr((name, sorted(after.items()))).encode()).hexdigest()
        repo["commits"][digest] = after
        repo["refs"][branch] = digest
        return digest

    def put_folder(self, name, folder, **options):
        return self.put(name, {p.name: p.read_bytes() for p in folder.iterdir()}, **options)

    def files(self, name):
        repo = self.repos[name]
        return repo["commits"][repo["refs"]["main"]]

    def point_client_here(self, monkeypatch, cache):
        """Have the client in this process ask here; `HF_ENDPOINT` does it for another one."""
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._get()

    def do_GET(self):
        self._get()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._seen()
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid credentials"}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            if name.startswith("forbidden/"):
                return self._json({"error": "no rights in forbidden"}, 403)
            if name in self.server.repos:
                return self._json({"error": "exists", "url": f"{self.server.url}/{name}"}, 409)
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.server.put(name, {}, private=private)
            return self._json({"url": f"{self.server.url}/{name}", "name": name})
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", self.path)
        if match is None:
            return self._json({"error": f"unknown {self.path}"}, 404)
        if match[2] == "preupload":
            files = [f["path"] for f in json.loads(body)["files"]]
            modes = [{"path": f, "uploadMode": "regular", "shouldIgnore": False} for f in files]
            return self._json({"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            for line in lines
            if line["key"] == "file"
        }
        digest = self.server.put(match[1], files)
        url = f"{self.server.url}/{match[1]}/commit/{digest}"
        return self._json({"commitUrl": url, "commitOid": digest, "success": True})

    def _get(self):
        self._seen()
        if self.server.down:
            return self._json({"error": "the Hub is not well"}, 503)
        path = unquote(self.path).partition("?")[0]
        name, kind, revision, file = _asked_for(path)
        if name is None:
            return self._json({"error": f"unknown {self.path}"}, 404)
        repo = self.server.repos.get(name)
        open_to = repo and (
            not repo["private"] or self.headers.get("Authorization") == f"Bearer {TOKEN}"
        )
        if not open_to:
            return self._json({"error": "not found"}, 404 if repo is None else 401, "RepoNotFound")
        digest = repo["refs"].get(revision, revision)
        if digest not in repo["commits"]:
            return self._json({"error": "no revision"}, 404, "RevisionNotFound")
        files = repo["commits"][digest]
        if kind == "tree" and not file:  # there are no folders
            tree = [{"type": "file", "path": f, "size": len(files[f]), "oid": f} for f in files]
            return self._json(tree)
        if kind == "info":
            siblings = [{"rfilename": file} for file in files]
            info = {"id": name, "sha": digest, "private": repo["private"], "siblings": siblings}
            return self._json(info)
        if file not in files:
            return self._json({"error": "no entry"}, 404, "EntryNotFound", commit=digest)
        large = None
        if file in self.server.large:
            large = self.server.large[file] or hashlib.sha256(files[file]).hexdigest()
        return self._send(files[file], commit=digest, kind="application/octet-stream", large=large)

    def _seen(self):
        self.server.requests.append((self.command, self.path))

    def _json(self, value, status=200, code=None, **more):
        self._send(json.dumps(value).encode(), status, code, **more)

    def _send(self, data, status=200, code=None, commit=None, kind="application/json", large=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        if large:
            self.send_header("X-Linked-Etag", f'"{large}"')
            self.send_header("X-Linked-Size", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _asked_for(path):
    """(repository, kind of answer, revision, file) of a path, all None if it is unknown."""
    info = r"/api/(?:models/)?((?:datasets/)?[^/]+/[^/]+?)(?:/(revision|tree)/([^/]+)(?:/(.+))?)?"
    if match := re.fullmatch(info, path):
        return match[1], "tree" if match[2] == "tree" else "info", match[3] or "main", match[4]
    if match := re.fullmatch(r"/((?:datasets/|spaces/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
        return match[1], "file", match[2], match[3]
    return None, None, None, None
