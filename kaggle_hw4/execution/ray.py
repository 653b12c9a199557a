"""An executor on Ray: a task a run, on nodes that share no disk with this one.

The corpus and what else the runs read is put into Ray's store once, and fetched and unpacked once a
node. Checkpoints and logs come back while a run is trained, so that it is resumed on another node
where its own is lost; its files are checked against their hashes before they are kept.
"""

import hashlib
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.artifact import write_bytes
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.execution.executor import Outcome
from kaggle_hw4.execution.local import Finished
from kaggle_hw4.execution.node import Inputs, Snapshot, pack_inputs, train_on_node
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import Preparer
from kaggle_hw4.run_manifest import Manifest
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.recipe import Recipe

INSTALL = "run pip install 'kaggle_hw4[ray]'"
PATIENCE = 60.0  # seconds for a step to end, and for its checkpoint to come back
RESUMED = ("metrics.jsonl", "checkpoint.pt")  # what a run is resumed from


class Switches:
    """An actor: the signals that runs are to be sent."""

    def __init__(self) -> None:
        self.signals: dict[str, int] = {}

    def send(self, name: str, number: int) -> None:
        self.signals[name] = number

    def signal_of(self, name: str) -> int:
        return self.signals.get(name, 0)


class RayCluster:
    """Has runs trained as tasks of a Ray cluster that this machine is a node of, `jobs` at a time.

    Without an address it is the one of RAY_ADDRESS, or one that is started here.
    """

    def __init__(self, jobs: int | None, address: str) -> None:
        self.ray = ray = connect(address)
        resources = ray.cluster_resources()
        self.gpus = int(resources.get("GPU", 0))
        self.jobs = jobs or self.gpus or int(resources.get("CPU", 1))
        self.inputs: dict[Inputs, object] = {}  # Ray's references to them
        self.preparer = Preparer()
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.switches = ray.remote(Switches).options(num_cpus=0, scheduling_strategy=here).remote()

    def submit(self, spec: RunSpec) -> "RayJob | Finished":
        run = self.preparer.run(spec)
        if run.done:
            return Finished(spec, run, run.manifest())
        hold = ExitStack()
        hold.enter_context(run.held())  # no other command is to train it here
        from kaggle_hw4.recipe import read_recipe

        recipe = read_recipe(Workspace(Path(spec.workspace)).variant(spec.variant), spec.settings)
        gpus = 1 if self.gpus and spec.device in ("auto", "cuda") else 0
        task = self.ray.remote(train_on_node).options(
            num_cpus=1, num_gpus=gpus, max_retries=0, num_returns="streaming"
        )
        name = f"{run.name} {time.monotonic_ns()}"
        snapshots = task.remote(
            replace(spec, settings=(), variant=run.variant).to_json(),
            recipe.to_toml(),
            self._inputs(spec, recipe),
            read_all(run, RESUMED),
            name,
            self.switches,
        )
        send = partial(self.switches.send.remote, name)
        return RayJob(self.ray, spec, run, snapshots, send, hold)

    def _inputs(self, spec: RunSpec, recipe: "Recipe") -> object:
        """Ray's reference to what the run reads, which is put there once."""
        start = recipe.start.initialise_from.partition("/")[0] if recipe.start else ""
        key = Inputs(spec.workspace, start)
        if key not in self.inputs:
            self.inputs[key] = self.ray.put(pack_inputs(key))
        return self.inputs[key]

    def close(self) -> None:
        self.ray.shutdown()


@dataclass(eq=False)
class RayJob:
    """A run that a node of the cluster trains, as its executor sees it."""

    ray: Any
    spec: RunSpec
    run: Run
    snapshots: Any  # Ray's generator of references to them
    send: Any  # takes a signal for its process
    hold: ExitStack  # the run's lock
    state: str = "queued"
    outcome: Outcome | None = None

    def poll(self) -> bool:
        """Whether it has ended; what has come back since is written to the run's folder."""
        while self.outcome is None:
            ready, _ = self.ray.wait([self.snapshots], timeout=0)
            if not ready:
                return False
            self._take()
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        """The node sees it within a second. A task that waits for one will not begin."""
        self.send(int(number))
        if not self.poll() and self.state == "queued":
            self.ray.cancel(self.snapshots)

    def collect(self) -> Outcome:
        until = time.monotonic() + PATIENCE
        while not self.poll() and time.monotonic() < until:
            time.sleep(0.2)
        self.hold.close()
        lost = Outcome(self.run, None, -signal.SIGKILL, "its node did not stop it in time")
        return self.outcome or lost

    def _take(self) -> None:
        """The next snapshot; the node or its process may be lost."""
        try:
            snapshot: Snapshot = self.ray.get(next(self.snapshots))
        except StopIteration:
            self.outcome = Outcome(self.run, None, -signal.SIGKILL, "it ended without a word")
            return
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self.outcome = Outcome(self.run, None, -signal.SIGKILL, f"lost by Ray: {reason}")
            return
        self.state = "training"
        files = dict(snapshot.files)
        sealed = files.pop("run.json", None)
        for name, data in files.items():
            write_bytes(self.run.folder / name, data)
        if snapshot.code == 0 and sealed is not None:
            write_bytes(self.run.folder / "run.json", check(self.run, files, sealed))
            self.outcome = Outcome(self.run, self.run.manifest())
        elif snapshot.code is not None:
            self.outcome = Outcome(self.run, None, snapshot.code, snapshot.reason)


def check(run: Run, files: dict[str, bytes], sealed: bytes) -> bytes:
    """The manifest `sealed`; DataError where a file that it names came back as another."""
    for name, sha256 in Manifest.model_validate_json(sealed).sha256.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != sha256:
            raise DataError(f"{run.name}: {name} came back damaged", "the same command resumes it")
    return sealed


def read_all(run: Run, names: Iterable[str]) -> dict[str, bytes]:
    """The files of a run that are there."""
    paths = [run.folder / name for name in names]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def connect(address: str) -> Any:
    """The module `ray`, connected; UsageError where it is not installed or nothing answers."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UsageError("Ray is not installed", INSTALL, parameter="on") from error
    try:
        ray.init(address=address or None, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = f"Ray does not answer at {address or 'RAY_ADDRESS'}"
        then = "this machine must be a node of the cluster: ray start"
        raise UsageError(what, then, parameter="on") from error
    return ray
