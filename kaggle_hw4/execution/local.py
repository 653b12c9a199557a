"""Executors of this machine: in this process, or each run in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaggle_hw4.execution.executor import LOG, Outcome
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import Preparer, execute, prepare
from kaggle_hw4.run_manifest import Manifest
from kaggle_hw4.runs import Run

if TYPE_CHECKING:
    from kaggle_hw4.execution.time_limit import Budget, Deadline
    from kaggle_hw4.progress import Monitor
    from kaggle_hw4.ranks import Ranks

PATIENCE = 60.0  # seconds for a process to finish its step after it was asked to stop


class InProcess:
    """One run after the other in this process, shown by a monitor; its errors are raised.

    With a budget each has its share of the time; several `ranks` train each of them together.
    """

    jobs = 1

    def __init__(
        self,
        monitor: "Monitor",
        budget: "Budget | None" = None,
        ranks: "Ranks | None" = None,
    ) -> None:
        self.monitor, self.budget, self.ranks = monitor, budget, ranks

    def submit(self, spec: RunSpec) -> "Finished":
        prepared = prepare(spec)
        limit = self.budget.of(prepared.run) if self.budget else None
        return Finished(spec, prepared.run, execute(prepared, self.monitor, limit, self.ranks))


@dataclass(frozen=True, eq=False)
class Finished:
    """A run that has ended already."""

    spec: RunSpec
    run: Run
    manifest: Manifest
    state = "finished"

    def poll(self) -> bool:
        return True

    def stop(self, number: int = signal.SIGTERM) -> None: ...

    def collect(self) -> Outcome:
        return Outcome(self.run, self.manifest)


class Subprocesses:
    """Each run in a process of its own, of so many threads: a crash, or a kill for memory, ends
    that one and nothing else. Where there are several CUDA devices (`cards`), each has one. With a
    `budget`, set later, each run has its share of the time.
    """

    budget: "Budget | None" = None

    def __init__(
        self, jobs: int = 1, threads: int | None = None, cards: Sequence[str] = ()
    ) -> None:
        self.jobs = jobs
        self.threads = threads or share_of_threads(jobs)
        self.cards = tuple(cards)
        self.preparer = Preparer()
        self.processes: list[tuple[str, Process]] = []

    def submit(self, spec: RunSpec) -> "Process | Finished":
        run = self.preparer.run(spec)
        if run.done:
            return Finished(spec, run, run.manifest())
        card = self._free_card() if spec.device in ("auto", "cuda") else ""
        process = Process(spec, run, self.threads, card, self._deadline(run))
        self.processes.append((card, process))
        return process

    def _deadline(self, run: Run) -> "Deadline | None":
        if self.budget is None:
            return None
        under_way = [each for _, each in self.processes if not each.poll()]
        busy = {each.run: each.deadline.at for each in under_way if each.deadline}
        return self.budget.deadline(run, busy, self.jobs)

    def _free_card(self) -> str:
        """The one that fewest runs are trained on; "" is whichever there is."""
        self.processes = [each for each in self.processes if not each[1].poll()]
        busy = Counter(card for card, _ in self.processes)
        return min(self.cards, key=lambda card: busy[card], default="")


class Process:
    """The process of a run, as its executor sees it."""

    state = "training"

    def __init__(
        self,
        spec: RunSpec,
        run: Run,
        threads: int,
        card: str = "",
        deadline: "Deadline | None" = None,
    ) -> None:
        self.spec, self.run, self.deadline = spec, run, deadline
        run.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "kaggle_hw4.execution.worker", spec.to_json()]
        command += [deadline.model_dump_json()] if deadline else []
        with (run.folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(threads, card),
                start_new_session=True,  # Ctrl-C in the terminal is for whoever started it
            )

    def poll(self) -> bool:
        return self.process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def collect(self) -> Outcome:
        """Wait for the end, and kill it if that takes longer than a step may."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return self.wait()

    def wait(self) -> Outcome:
        """Wait for the end, however long it takes."""
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        code = self.process.returncode
        if code:
            return Outcome(self.run, None, code, self._reason())
        return Outcome(self.run, self.run.manifest())

    def _reason(self) -> str:
        """Why the process ended as it did, in one line."""
        code = self.process.returncode
        if code < 0:
            memory = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"killed by {signal.Signals(-code).name}{memory}"
        lines = (self.run.folder / LOG).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"ended with exit code {code}"


def environment(threads: int, card: str) -> dict[str, str]:
    """The variables of a process with its share of the machine; `card` "": all there are."""
    share = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return os.environ | share | ({"CUDA_VISIBLE_DEVICES": card} if card else {})


def share_of_threads(jobs: int) -> int:
    """Threads of each of `jobs` processes: what the machine has, shared out."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    # OpenMP takes a list, one number a level of nesting ("4,2"), and ignores what is no number.
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    wanted = int(first) if re.fullmatch("[0-9]{1,6}", first) else 0
    total = wanted or len(mine) or os.cpu_count() or 1
    return max(1, total // jobs)


def cuda_cards() -> tuple[str, ...]:
    """The CUDA devices of this machine, as CUDA_VISIBLE_DEVICES calls them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [name.strip() for name in visible if name.strip()]
    count = torch.cuda.device_count()
    return tuple(names[:count] if names else map(str, range(count)))
