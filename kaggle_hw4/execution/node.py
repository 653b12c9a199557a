"""What runs on a node that shares no disk with whoever asked: a run, from packed inputs."""

import hashlib
import io
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.artifact import new_directory
from kaggle_hw4.execution.local import Process
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import prepare
from kaggle_hw4.locks import locked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kaggle_hw4.runs import Run

READ = ("packed", "folds", "pseudo-labels", "teachers")  # folders of a workspace that runs read
EVERY = 1.0  # seconds between two looks at the run
CACHE = Path(tempfile.gettempdir())  # of a node, for unpacked inputs


@dataclass(frozen=True)
class Inputs:
    """What runs of a workspace read; `pretraining` is the folder of runs that they start from."""

    workspace: str
    pretraining: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Files of a run as they are now; `code` is set when its process has ended."""

    files: dict[str, bytes]
    code: int | None = None
    reason: str = ""


def pack_inputs(inputs: Inputs) -> "npt.NDArray[np.uint8]":
    """An archive of them: an array, which Ray shares among the processes of a node."""
    import numpy as np

    root, buffer = Path(inputs.workspace), io.BytesIO()
    names = [*READ, *([f"runs/{inputs.pretraining}"] if inputs.pretraining else [])]
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as archive:
        for name in names:
            if (root / name).is_dir():
                archive.add(root / name, name, filter=_without_locks)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def unpack_inputs(packed: "npt.NDArray[np.uint8]", cache: Path = CACHE) -> Path:
    """The folder with them on this node, unpacked by whoever comes first."""
    data = packed.tobytes()
    folder = cache / f"hw4-{hashlib.sha256(data).hexdigest()[:16]}"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            with new_directory(folder) as new, tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.extractall(new, filter="data")
    return folder


def train_on_node(
    spec_json: str,
    recipe: str,
    packed: "npt.NDArray[np.uint8]",
    resumed: dict[str, bytes],
    name: str,
    switches: Any,
) -> Iterator[Snapshot]:
    """Train a run from the files `resumed`, and yield what is new: logs, checkpoints, the result.

    `switches` is Ray's actor that has the signal for the run called `name`.
    """
    import ray

    workspace = unpack_inputs(packed)
    # Ray gives a task's processor to another task while the main thread waits for it.
    other = ThreadPoolExecutor(1)
    with other, tempfile.TemporaryDirectory(prefix="hw4-run-", dir=CACHE) as scratch:
        spec = RunSpec.from_json(spec_json)
        path = Path(scratch) / f"{spec.variant}.toml"
        path.write_text(recipe)
        spec = replace(spec, workspace=str(workspace), variant=str(path), runs=scratch)
        run = prepare(spec).run
        run.folder.mkdir(parents=True)
        for file, data in resumed.items():
            (run.folder / file).write_bytes(data)
        process, sent, last = Process(spec, run, threads=1), dict[str, int](), 0
        yield Snapshot({})
        while not process.poll():
            number = other.submit(ray.get, switches.signal_of.remote(name)).result()
            if number != last:  # once: a second one would kill a process that is ending
                process.stop(number)
                last = number
            time.sleep(EVERY)
            if files := _changed(run, ("metrics.jsonl", "checkpoint.pt"), sent):
                yield Snapshot(files)
        outcome = process.wait()
        names = [each.name for each in run.folder.iterdir() if not each.name.startswith(".")]
        yield Snapshot(_changed(run, names, {}), outcome.code, outcome.reason)


def _changed(
    run: "Run", names: "tuple[str, ...] | list[str]", sent: dict[str, int]
) -> dict[str, bytes]:
    """The files that were written since `sent`, which is brought up to date."""
    files = {}
    for name in names:
        path = run.folder / name
        if path.is_file() and (time_ns := path.stat().st_mtime_ns) != sent.get(name):
            sent[name] = time_ns
            files[name] = path.read_bytes()
    return files


def _without_locks(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Nothing that only means something on this machine, and no checkpoints."""
    name = Path(member.name).name
    return None if name.startswith(".lock") or name == "checkpoint.pt" else member
