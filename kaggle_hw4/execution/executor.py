"""What an executor is, and how many runs go through one.

The local executors are in `local`, those of a cluster in `slurm` and `ray`; `placement` chooses.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kaggle_hw4.errors import (
    FAULT,
    BoardError,
    DataError,
    Interrupted,
    RecipeError,
    Stopped,
    UsageError,
)
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.run_manifest import Manifest
from kaggle_hw4.runs import Run
from kaggle_hw4.signals import graceful_shutdown
from kaggle_hw4.workspace import shown

LOG = "worker.log"  # what a process prints, in its run's folder
POLL = 0.3  # seconds between two looks at the runs
RETRIES = 2  # of a run whose process crashed
KINDS = {
    kind.exit_code: kind
    for kind in (UsageError, RecipeError, DataError, BoardError, Stopped, Interrupted)
}


@dataclass(frozen=True)
class Outcome:
    """How `run` ended: with its manifest, or with an exit code and the reason.

    `code` is 0, an exit code of `errors`, or minus the signal that killed the process.
    """

    run: Run
    manifest: Manifest | None
    code: int = 0
    reason: str = ""

    @property
    def crashed(self) -> bool:
        """Whether the process was killed: another try may end otherwise."""
        return self.code < 0

    @property
    def error(self) -> BaseException:
        """The failure as it would have been raised here; it names the log, where there is one."""
        if self.code == FAULT:
            return RuntimeError(f"{self.reason}; {self.run.folder} has the traceback")
        log = self.run.folder / LOG
        where = f"its log is {shown(log)}" if log.is_file() else ""
        return KINDS.get(self.code, DataError)(self.reason, where)

    def result(self) -> Manifest:
        """The manifest, or the failure raised."""
        if self.manifest is None:
            raise self.error
        return self.manifest


class Handle(Protocol):
    """A run under way. `run` is where its log is, and where its result will be."""

    @property
    def spec(self) -> RunSpec: ...

    @property
    def run(self) -> Run: ...

    @property
    def state(self) -> str:
        """Where it stands, in a word: `queued`, `training`, `finished` …"""

    def poll(self) -> bool:
        """Whether it has ended."""

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to stop with a checkpoint, or kill it; return at once."""

    def collect(self) -> Outcome:
        """Wait for the end and return how it ended."""


class Executor(Protocol):
    """Has runs trained, somewhere."""

    jobs: int  # runs at a time

    def submit(self, spec: RunSpec) -> Handle:
        """Start the run of `spec`, or resume it; one that is finished ends at once."""


@runtime_checkable
class ArrayExecutor(Protocol):
    """An executor that takes many runs as one request; it keeps to `jobs` at a time itself."""

    def submit_array(self, specs: Sequence[RunSpec]) -> Sequence[Handle]: ...


@dataclass(eq=False)
class Job:
    """Where one of many runs stands: it waits until it has a handle, and ends with an outcome."""

    spec: RunSpec
    handle: Handle | None = None
    crashes: int = 0
    outcome: Outcome | None = None

    @property
    def state(self) -> str:
        if self.outcome is not None:
            return "finished" if self.outcome.manifest else "failed"
        return self.handle.state if self.handle else "waiting"


Report = Callable[[RunSpec, Outcome], None]
Watch = Callable[[Sequence[Job]], None]  # is shown all jobs every POLL seconds


def no_watch(_jobs: Sequence[Job]) -> None:
    """Show nothing."""


def run_all(
    executor: Executor,
    specs: Iterable[RunSpec],
    report: Report = lambda *_: None,
    watch: Watch = no_watch,
) -> dict[RunSpec, Outcome]:
    """Have all runs trained, `executor.jobs` at a time; return how each ended.

    A run whose process crashed is retried from its last checkpoint, RETRIES times at most. A recipe
    that fails by itself (because it diverges, for example) is an outcome; any other failure is
    raised, since the rest would fail as well. Raises Stopped or Interrupted when a signal asks for
    it; the runs can be resumed.
    """
    jobs = [Job(spec) for spec in dict.fromkeys(specs)]
    waiting, running = deque(jobs), list[Job]()
    with graceful_shutdown() as request:
        try:
            while waiting or running:
                _start(executor, waiting, running)
                watch(jobs)
                _collect(waiting, running, report)
                if request.signal and (waiting or running):
                    raise request.error("stopped before all runs were trained")
                if running:
                    time.sleep(POLL)
        finally:
            stop_all(job.handle for job in running if job.handle)
    watch(jobs)
    return {job.spec: job.outcome for job in jobs if job.outcome}


def _start(executor: Executor, waiting: deque[Job], running: list[Job]) -> None:
    """Start what fits."""
    if isinstance(executor, ArrayExecutor):
        batch = list(waiting)
        handles = executor.submit_array([job.spec for job in batch]) if batch else ()
        for job, handle in zip(batch, handles, strict=True):
            job.handle = handle
        running += batch
        waiting.clear()
        return
    while waiting and len(running) < executor.jobs:
        job = waiting[0]
        job.handle = executor.submit(job.spec)
        running.append(waiting.popleft())


def _collect(waiting: deque[Job], running: list[Job], report: Report) -> None:
    """Collect what has ended; what crashed waits again."""
    for job in list(running):
        if job.handle is None or not job.handle.poll():
            continue
        running.remove(job)
        outcome = job.handle.collect()
        if outcome.crashed and job.crashes < RETRIES:
            job.handle, job.crashes = None, job.crashes + 1
            waiting.append(job)
            continue
        if outcome.code not in (0, RecipeError.exit_code):
            raise outcome.error
        job.outcome = outcome
        report(job.spec, outcome)


def stop_all(handles: Iterable[Handle]) -> None:
    """Ask all of them to stop, then wait for each."""
    handles = list(handles)
    for handle in handles:
        handle.stop()
    for handle in handles:
        handle.collect()
