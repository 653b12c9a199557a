"""One training in a process of its own: a crash, or a kill for memory, ends it and nothing else.

`python -m kaggle_hw4.tuning.worker JOB` trains; the coordinator reads the run's metrics.jsonl while
it does, and its manifest from stdout at the end. The worker's stdin is its lifeline: when it
closes, the coordinator is gone, and the worker stops in good order, its checkpoint written.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

import filelock

from kaggle_hw4.errors import DataError, Hw4Error
from kaggle_hw4.stages.train import Training, train
from kaggle_hw4.workspace import Workspace

PATIENCE = 60.0  # seconds for an orphan to finish its step and let go of the run


@dataclass(frozen=True)
class Job:
    """One fold and seed of the recipe file `recipe`; its run goes below `runs`."""

    workspace: str
    recipe: str
    split: str
    fold: int
    seed: int
    runs: str
    device: str


class Worker:
    """The process of a job, as its coordinator sees it; `folder` holds what it prints."""

    def __init__(self, job: Job, folder: Path, threads: int) -> None:
        self.job, self.folder = job, folder
        folder.mkdir(parents=True, exist_ok=True)
        count = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        with (folder / "result.json").open("wb") as out, (folder / "errors.txt").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kaggle_hw4.tuning.worker", dumps(asdict(job))],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=os.environ | count,
                start_new_session=True,  # Ctrl-C in the terminal is the coordinator's to handle
            )

    def reports(self) -> Iterator[dict[str, Any]]:
        """The lines that the training has logged so far, in a private folder of runs."""
        for path in Path(self.job.runs).glob("*/*/metrics.jsonl"):
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    yield loads(line)

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = loads((self.folder / "result.json").read_bytes())
        return found

    def complaint(self) -> str:
        """Why the process ended as it did, in one line."""
        code = self.process.returncode
        if code < 0:
            memory = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"killed by {signal.Signals(-code).name}{memory}"
        said = (self.folder / "errors.txt").read_text(errors="replace").strip().splitlines()
        return said[-1] if said else f"ended with exit code {code}"

    def stop(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def close(self) -> None:
        """Wait for the end, and by force if it takes longer than a step may."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def end_workers(workers: Iterable[Worker]) -> None:
    """Ask all of them to stop, then wait for each."""
    workers = list(workers)
    for worker in workers:
        worker.stop(signal.SIGTERM)
    for worker in workers:
        worker.close()


class Silent:
    """The monitor of a training that is watched through its files."""

    def begin(self, name: str, done: int, total: int) -> None: ...
    def report(self, step: int, figures: dict[str, float]) -> None: ...


def main(job: Job) -> int:
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    _let_orphans_go(job)
    what = Training(job.recipe, (), job.split, [job.fold], [job.seed], Path(job.runs))
    try:
        [report] = train(Workspace(Path(job.workspace)), what, job.device, Silent())
    except Hw4Error as error:
        return complain(str(error), error.exit_code)
    except OSError as error:
        where = f"{error.filename or job.runs}: {error.strerror or error}"
        return complain(where, DataError.exit_code)
    sys.stdout.write(dumps(report))
    return 0


def complain(text: str, code: int) -> int:
    with suppress(OSError):  # on a full disk the code alone must do
        sys.stderr.write(f"{text}\n")
    return code


def _let_orphans_go(job: Job) -> None:
    """Wait for the worker of a killed coordinator, which is still finishing its step."""
    run = f"{Path(job.recipe).stem}-*/fold{job.fold}-seed{job.seed}"
    for lock in Path(job.runs).glob(f"{run}/.lock"):
        with suppress(filelock.Timeout), filelock.FileLock(lock, timeout=PATIENCE):
            pass


def _stop_with_parent() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Job(**loads(sys.argv[1]))))
