"""What an executor is, and how many runs go through one.

The local executors are in `local`; one for a cluster's queue implements the same two protocols.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

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
        """The failure as it would have been raised here."""
        if self.code == FAULT:
            return RuntimeError(f"{self.reason}; {self.run.folder} has the traceback")
        return KINDS.get(self.code, DataError)(self.reason)

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


Report = Callable[[RunSpec, Outcome], None]


def run_all(
    executor: Executor, specs: Iterable[RunSpec], report: Report = lambda *_: None
) -> dict[RunSpec, Outcome]:
    """Have all runs trained, `executor.jobs` at a time; return how each ended.

    A run whose process crashed is retried, RETRIES times at most. A recipe that fails by itself
    (because it diverges, for example) is an outcome; any other failure is raised, since the rest
    would fail as well. Raises Stopped or Interrupted when a signal asks for it; the runs can be
    resumed.
    """
    waiting = deque((spec, 0) for spec in specs)
    running: dict[Handle, int] = {}
    outcomes: dict[RunSpec, Outcome] = {}
    with graceful_shutdown() as request:
        try:
            while waiting or running:
                # Start what fits.
                while waiting and len(running) < executor.jobs:
                    spec, crashes = waiting.popleft()
                    running[executor.submit(spec)] = crashes
                # Collect what has ended.
                for handle in [handle for handle in running if handle.poll()]:
                    crashes, outcome = running.pop(handle), handle.collect()
                    if outcome.crashed and crashes < RETRIES:
                        waiting.append((handle.spec, crashes + 1))
                        continue
                    if outcome.code not in (0, RecipeError.exit_code):
                        raise outcome.error
                    outcomes[handle.spec] = outcome
                    report(handle.spec, outcome)
                if request.signal and (waiting or running):
                    raise request.error("stopped before all runs were trained")
                if running:
                    time.sleep(POLL)
        finally:
            stop_all(running)
    return outcomes


def stop_all(handles: Iterable[Handle]) -> None:
    """Ask all of them to stop, then wait for each."""
    handles = list(handles)
    for handle in handles:
        handle.stop()
    for handle in handles:
        handle.collect()
