"""An executor on Slurm, through submitit: a job array of runs, on a disk that all nodes share.

Each job trains its run in a worker's process, as on this machine. When Slurm wants the node back or
the job's time is nearly over, the worker stops with a checkpoint and the job is queued again.
"""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.errors import Stopped, UsageError
from kaggle_hw4.execution.executor import Outcome
from kaggle_hw4.execution.local import Finished, Process, share_of_threads
from kaggle_hw4.execution.queue import ACTIVE, SlurmQueue, cancel
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import Preparer
from kaggle_hw4.run_manifest import Manifest
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import shown

if TYPE_CHECKING:
    from submitit import Job, SlurmExecutor
    from submitit.helpers import DelayedSubmission

INSTALL = "run pip install 'kaggle_hw4[slurm]'"
MINUTES = 60  # of a job, unless its options say otherwise; then it is queued again
NOTICE = 90  # seconds between the signal and the end of a job
JOBS = 256  # at a time at most
PATIENCE = 60.0  # seconds for a step to end, and for its checkpoint
DISK = 10.0  # seconds until another node's file is seen here, on a disk that is shared
TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", re.ASCII)


class Slurm:
    """Has runs trained as the jobs of an array, `jobs` at a time; `options` are sbatch's. `threads`
    are those of a run; None: as many as its job has processors.
    """

    def __init__(
        self, workspace: str, jobs: int | None, options: Sequence[str], threads: int | None = None
    ) -> None:
        self.jobs, self.threads = jobs or JOBS, threads
        self.executor = make_executor(Path(workspace), self.jobs, options)
        self.preparer, self.queue = Preparer(), SlurmQueue()

    def submit(self, spec: RunSpec) -> "SlurmJob | Finished":
        return self.submit_array([spec])[0]

    def submit_array(self, specs: Sequence[RunSpec]) -> "list[SlurmJob | Finished]":
        """One array of all that are not finished; UsageError where sbatch refuses it."""
        runs = {spec: self.preparer.run(spec) for spec in specs}
        missing = [spec for spec, run in runs.items() if not run.done]
        with naming_refusals(), self.executor.batch() if missing else nullcontext():
            jobs = {spec: self.executor.submit(self._work(spec)) for spec in missing}
        return [
            SlurmJob(spec, run, jobs[spec], self.queue)
            if spec in jobs
            else Finished(spec, run, run.manifest())
            for spec, run in runs.items()
        ]

    def _work(self, spec: RunSpec) -> "BatchJob":
        return BatchJob(spec.to_json(), self.threads)


class SlurmJob:
    """A run that Slurm has, as its executor sees it."""

    def __init__(self, spec: RunSpec, run: Run, job: "Job[Ended]", queue: SlurmQueue) -> None:
        self.spec, self.run, self.job, self.queue = spec, run, job, queue
        self.stopped = self.killed = False
        self.gone_since: float | None = None
        queue.add(job.job_id)

    @property
    def state(self) -> str:
        slurm = self.queue.state(self.job.job_id)
        return ACTIVE.get(slurm, slurm.lower())

    def poll(self) -> bool:
        """Whether it has ended: it has said how, or Slurm has no such job any more."""
        if self.job.paths.result_pickle.exists():
            return True
        if self.queue.state(self.job.job_id) in ACTIVE:
            self.gone_since = None
            return False
        self.gone_since = self.gone_since or time.monotonic()
        return self.stopped or time.monotonic() - self.gone_since > DISK

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Its checkpoint is written in any case; SIGKILL says that nobody wants its logs either."""
        self.stopped, self.killed = True, self.killed or number == signal.SIGKILL
        cancel(self.job.job_id)

    def collect(self) -> Outcome:
        """How it ended, with patience for a job that was stopped."""
        until = time.monotonic() + PATIENCE
        while not self.poll() and (not self.stopped or time.monotonic() < until):
            time.sleep(0.2)
        if self.run.done or self.killed:
            shutil.rmtree(self.job.paths.folder, ignore_errors=True)
        if self.run.done:
            return Outcome(self.run, self.run.manifest())
        if self.killed:
            return Outcome(self.run, None, -signal.SIGKILL, "killed")
        if not self.job.paths.result_pickle.exists():
            return self._lost()
        error = self.job.exception()
        if error is not None:
            return Outcome(self.run, None, -signal.SIGKILL, self._where(str(error)))
        ended: Ended = self.job.result()
        if ended.code == 0:
            return Outcome(self.run, self._manifest())
        if ended.code == Stopped.exit_code and not self._cancelled:  # the node was wanted back
            return Outcome(self.run, None, -signal.SIGTERM, ended.reason)
        return Outcome(self.run, None, ended.code, ended.reason)

    def _manifest(self) -> Manifest:
        """That of another node, which a shared disk may show a little later."""
        until = time.monotonic() + DISK
        while not self.run.done and time.monotonic() < until:
            time.sleep(0.2)
        return self.run.manifest()

    def _lost(self) -> Outcome:
        """Without a word: killed with its node, or for memory, or cancelled by a person."""
        state = self.queue.state(self.job.job_id)
        reason = self._where(f"Slurm's job {self.job.job_id} ended: {state.lower()}")
        return Outcome(self.run, None, Stopped.exit_code if self._cancelled else -9, reason)

    @property
    def _cancelled(self) -> bool:
        return self.queue.state(self.job.job_id) == "CANCELLED"

    def _where(self, reason: str) -> str:
        first = reason.partition("\n")[0]
        return f"{first}; Slurm's logs are in {shown(self.job.paths.folder)}"


@dataclass(frozen=True)
class Ended:
    """What a job says of its worker's end."""

    code: int
    reason: str


class BatchJob:
    """What runs on the node. submitit calls `checkpoint` before the node is taken away."""

    def __init__(self, spec: str, threads: int | None) -> None:
        self.spec, self.threads = spec, threads
        self.process: Process | None = None

    def __call__(self) -> Ended:
        spec = RunSpec.from_json(self.spec)
        run = Preparer().run(spec)
        if run.done:  # by another command, while this job was queued
            return Ended(0, "")
        self.process = process = Process(spec, run, self.threads or threads_of_job())
        signal.signal(signal.SIGTERM, lambda *_: process.stop())
        while not has_ended(process.process.pid):
            time.sleep(0.2)
        outcome = process.wait()
        return Ended(outcome.code, outcome.reason)

    def checkpoint(self) -> "DelayedSubmission":
        """Stop the worker, and return what is to be done when the job runs again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            pid, until = self.process.process.pid, time.monotonic() + PATIENCE
            os.kill(pid, signal.SIGTERM)  # no method of Popen: this interrupts one
            while not has_ended(pid) and time.monotonic() < until:
                time.sleep(0.1)
        return DelayedSubmission(BatchJob(self.spec, self.threads))


def threads_of_job() -> int:
    """As many as this job has processors, whether Slurm binds it to them or only counts them."""
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or ""
    here = share_of_threads(1)
    return max(1, min(int(given), here)) if given.isdecimal() else here


@contextmanager
def naming_refusals() -> Iterator[None]:
    """What sbatch refuses in the block is a UsageError, and not submitit's traceback."""
    from submitit.core.utils import FailedJobError

    try:
        with redirect_stderr(StringIO()):  # submitit prints it, too
            yield
    except FailedJobError as error:
        reason = str(error).strip().partition("\n")[0].removeprefix("sbatch: error: ")
        what = f"Slurm takes no such job: {reason}"
        raise UsageError(what, "mend the options of sbatch", parameter="slurm") from error


def has_ended(pid: int) -> bool:
    """Whether a child has ended; its exit code stays to be collected."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def make_executor(workspace: Path, jobs: int, options: Sequence[str]) -> "SlurmExecutor":
    """submitit's, whose jobs leave their logs in the workspace's folder `slurm`.

    UsageError where submitit or Slurm is missing, or an option is no KEY=VALUE.
    """
    values = read_options(options)
    try:
        from submitit import SlurmExecutor
    except ModuleNotFoundError as error:
        raise UsageError("submitit is not installed", INSTALL, parameter="on") from error
    if not all(map(shutil.which, ("sbatch", "srun", "squeue", "scancel"))):
        what = "this machine has no Slurm (sbatch, srun, squeue, scancel)"
        raise UsageError(what, "train where jobs are submitted", parameter="on")

    executor = SlurmExecutor(workspace / "slurm" / "%j", max_num_timeout=10_000)
    cores = values.get("cpus-per-task")
    executor.update_parameters(
        job_name="hw4",
        time=read_minutes(values.pop("time", str(MINUTES))),
        signal_delay_s=int(values.pop("signal-delay-s", NOTICE)),
        array_parallelism=jobs,
        srun_args=["-c", cores] if cores else [],  # srun does not take it over from sbatch
        additional_parameters={"requeue": True, **values},
    )
    return executor


def read_options(options: Sequence[str]) -> dict[str, str]:
    """`partition=gpu` and so on, with sbatch's own names."""
    values = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not (key and equals and value):
            what = f"{option!r} is no KEY=VALUE"
            raise UsageError(what, "write partition=gpu, for example", parameter="slurm")
        values[key.strip().lstrip("-").replace("_", "-")] = value.strip()
    return values


def read_minutes(text: str) -> int:
    """The minutes of sbatch's 90, 1:30:00 or 1-12; UsageError for anything else."""
    match = TIME.fullmatch(text)
    if match is None:
        what = f"time={text}: it is in minutes, or as 2:00:00 or 1-12"
        raise UsageError(what, parameter="slurm")
    days, first, second, _ = (int(part or 0) for part in match.groups())
    if match[1] is not None:
        return days * 1440 + first * 60 + second
    if match[4] is not None:
        return first * 60 + second
    return max(1, first)
