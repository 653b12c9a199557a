"""The versions of the package that are compared, each in a process of its own."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from benchmarks.bench.machine import ROOT
from benchmarks.bench.worker import Worker

BASELINE = "eb80930"


class Version:
    """A worker process, as an object whose methods are the worker's."""

    def __init__(self, name: str, folder: Path, device: str, utterances: int) -> None:
        # The folder of the version is imported from first: -m puts the current one there.
        given = os.environ.get("PYTHONPATH")
        paths = os.pathsep.join([str(folder), str(ROOT), *([given] if given else [])])
        command = [sys.executable, "-m", "benchmarks.bench.worker", name, device, str(utterances)]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, call: str, **arguments: object) -> Any:
        """What the worker answers; RuntimeError where it has failed, after its own traceback."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker failed at {call} {arguments}")
        return json.loads(answer)

    def steps(self, key: str, count: int = 1) -> float:
        """Seconds of a step, the mean of `count`."""
        return float(self.ask("steps", key=key, count=count)["seconds"])

    def close(self) -> None:
        self.process.communicate()


class InProcess(Version):
    """The current version in this process, for the tests."""

    def __init__(self, device: str, utterances: int) -> None:
        self.worker = Worker("current", device, utterances)

    def ask(self, call: str, **arguments: object) -> Any:
        return getattr(self.worker, call)(**arguments)

    def close(self) -> None:
        """There is no process to end."""


def export_baseline(build: Path) -> Path | None:
    """The package at BASELINE in `build`, from the repository's own history; None without it."""
    folder = build / BASELINE
    if (folder / "kaggle_hw4").is_dir():
        return folder
    command = ["git", "-C", str(ROOT), "archive", BASELINE, "kaggle_hw4", "pipelines"]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def open_versions(build: Path, device: str, utterances: int) -> dict[str, Version]:
    """The current version and, where the history has it, the baseline."""
    folders = {"current": ROOT}
    if old := export_baseline(build):
        folders["baseline"] = old
    return {name: Version(name, folder, device, utterances) for name, folder in folders.items()}
