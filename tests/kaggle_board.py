"""A server that speaks Kaggle's protocol over a real socket, for the real client."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.data.manifest import MANIFEST

needs_kaggle = pytest.mark.skipif(
    find_spec("kaggle") is None, reason="needs pip install 'kaggle_hw4[kaggle]'"
)
credentials = {"KAGGLE_USERNAME": "anna", "KAGGLE_KEY": "secret"}
DROP, DROP_AFTER = "drop", "drop after"  # a connection that breaks before, or after, the action


def declare_edition(corpus: Path, year: int = 2022) -> None:
    """Have the corpus in this folder say that it is the one of that year's competition."""
    path = corpus / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"edition": year}))


def surroundings(home: Path, port: int) -> dict[str, str]:
    """The environment of a process whose Kaggle is the board at `port`; no credentials."""
    root = str(Path(__file__).parents[1])
    folders = {"HOME": str(home), "KAGGLE_CONFIG_DIR": str(home), "PYTHONPATH": root}
    network = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": f"http://127.0.0.1:{port}"}
    measured = {k: os.environ[k] for k in ("COVERAGE_PROCESS_START", "HW4_TEST") if k in os.environ}
    return {"PATH": os.environ["PATH"], **folders, **network, **measured}


class Board(ThreadingHTTPServer):
    """`status` and `cuts` break downloads, `faults` a phase of a submission, one call each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.message, self.archive = 200, "", b""
        self.cuts: list[int] = []
        self.says_size = True
        self.ranges: list[str | None] = []
        self.active = True
        self.faults: dict[str, list[int | str]] = {}
        self.quota = {"numToday": 1, "numTotal": 7, "numAllowedNow": 4}
        self.submissions: list[dict[str, Any]] = []  # newest first
        self.verdicts: list[dict[str, Any]] = [SCORED]  # of the newest, one for each look
        self.uploads: dict[str, tuple[str, bytes]] = {}  # token → name, content
        self.lists_uploads = True
        self.files: dict[int, bytes] = {}  # of submissions, by their references
        self.competitions: set[str] = set()  # that it was asked about

    def phases(self) -> dict[str, Any]:
        return {
            "GetSubmissionLimits": lambda _: self.quota,
            "StartSubmissionUpload": self.start,
            "CreateSubmission": self.create,
            "ListSubmissions": self.list,
        }

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        token = f"t{len(self.uploads)}"
        self.uploads[token] = (request["fileName"], b"")
        return {"token": token, "createUrl": f"http://localhost/upload/{token}"}

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, _ = self.uploads[request["blobFileTokens"]]
        if self.lists_uploads:
            self.add(fileName=name, description=request["submissionDescription"])
        return {"message": "Successfully submitted", "ref": len(self.submissions)}

    def add(self, **more: Any) -> None:
        known = {"ref": 100 + len(self.submissions), "date": "2022-04-01T12:00:00.000Z"}
        self.submissions.insert(0, known | {"status": "PENDING"} | more)

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.submissions and self.submissions[0]["status"] == "PENDING" and self.verdicts:
            self.submissions[0] |= self.verdicts.pop(0)
        size, page = request["pageSize"], request.get("page") or 1
        return {"submissions": self.submissions[size * (page - 1) : size * page]}


PENDING: dict[str, Any] = {}
SCORED = {"status": "COMPLETE", "publicScore": "0.78825", "privateScore": "0.78275"}


class Handler(BaseHTTPRequestHandler):
    server: Board

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        phase = self.path.rpartition("/")[2]
        if "competitionName" in request:
            self.server.competitions.add(request["competitionName"])
        if phase == "IntrospectToken":
            self.answer(200, {"active": self.server.active, "username": "anna"})
        elif phase in self.server.phases():
            self.act(phase, lambda: self.server.phases()[phase](request))
        elif phase == "DownloadSubmission" and request["submissionId"] in self.server.files:
            self.send_response(302)
            self.send_header("Location", f"http://localhost/submission/{request['submissionId']}")
            self.end_headers()
        elif self.server.status == 0:
            self.close_connection = True
        elif self.server.status != 200:
            self.refuse(self.server.status)
        else:
            self.send_response(302)
            self.send_header("Location", "http://localhost/files/archive.zip?signed=1")
            self.end_headers()

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.path.rpartition("/")[2]

        def take() -> dict[str, Any]:
            self.server.uploads[token] = (self.server.uploads[token][0], content)
            return {}

        self.act("upload", take)

    def act(self, phase: str, action: Any) -> None:
        """Do it and answer, or have the next fault of this phase."""
        waiting = self.server.faults.get(phase, [])
        fault = waiting.pop(0) if waiting else None
        if isinstance(fault, int):
            self.refuse(fault)
        elif fault == DROP:
            self.close_connection = True
        else:
            value = action()
            if fault == DROP_AFTER:
                self.close_connection = True
            else:
                self.answer(200, value)

    def refuse(self, status: int) -> None:
        self.answer(status, {"code": status, "message": self.server.message})

    def do_GET(self) -> None:
        if "/submission/" in self.path:
            content = self.server.files[int(self.path.rpartition("/")[2])]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        span = self.headers["Range"]
        self.server.ranges.append(span)
        start = int(span[6:-1]) if span else 0
        self.send_response(206 if span else 200)
        if self.server.says_size:
            self.send_header("Content-Length", str(len(self.server.archive) - start))
        for name, value in (
            ("Accept-Ranges", "bytes"),
            ("ETag", '"1"'),
            ("Last-Modified", "Tue, 01 Mar 2022 00:00:00 GMT"),
        ):
            self.send_header(name, value)
        self.end_headers()
        end = self.server.cuts.pop(0) if self.server.cuts else None
        with contextlib.suppress(ConnectionError):  # of a client that has what it needs
            self.wfile.write(self.server.archive[start:end])

    def answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
