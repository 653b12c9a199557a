"""What a run costs where several are trained at a time: measured in as many processes.

`python -m kaggle_hw4.execution.measure SPEC` prints a line when it is ready, waits for one, and
prints the cost that it has measured meanwhile. So all measure at the same time.
"""

import json
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import IO, TYPE_CHECKING

from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.local import Subprocesses, environment
from kaggle_hw4.execution.spec import RunSpec

if TYPE_CHECKING:
    from kaggle_hw4.training.measure import Cost


@dataclass(frozen=True)
class Measured:
    """What a run costs on average, and the seconds that its process takes before it can train."""

    cost: "Cost"
    starting: float


def measure_together(spec: RunSpec, executor: Subprocesses, jobs: int) -> Measured:
    """Measure the recipe of `spec` in so many processes at a time, each with its share of the
    machine. DataError where one fails: for so many there may be too little memory.
    """
    from kaggle_hw4.training.measure import Cost

    begin = time.monotonic()
    with ExitStack() as stack:
        processes = [_start(spec, executor, number) for number in range(jobs)]
        for process in processes:
            stack.callback(process.kill)
        # Wait for the last that becomes ready, and let all of them measure.
        for process in processes:
            _stream(process.stdout).readline()
        starting = time.monotonic() - begin
        for process in processes:
            with suppress(BrokenPipeError):
                _stream(process.stdin).write("\n")
                _stream(process.stdin).flush()
        costs = [Cost(**json.loads(_answer(process))) for process in processes]
    mean = Cost(
        step=fmean(cost.step for cost in costs),
        validation=fmean(cost.validation for cost in costs),
        prediction=fmean(cost.prediction for cost in costs),
        memory=max(cost.memory for cost in costs),
    )
    return Measured(mean, starting)


def _start(spec: RunSpec, executor: Subprocesses, number: int) -> "subprocess.Popen[str]":
    """The process of that number; each has a card of its own while there are enough."""
    cards = executor.cards or ("",)
    return subprocess.Popen(
        [sys.executable, "-m", "kaggle_hw4.execution.measure", spec.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(executor.threads, cards[number % len(cards)]),
    )


def _stream(pipe: "IO[str] | None") -> "IO[str]":
    assert pipe is not None, "it was opened with the process"
    return pipe


def _answer(process: "subprocess.Popen[str]") -> str:
    """What a process prints until it ends."""
    out, err = process.communicate()
    if process.returncode:
        reason = (err.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise DataError(f"what a run takes cannot be measured: {reason}", "train fewer at a time")
    return out


def main(spec: RunSpec) -> None:
    """Measure, when a line on stdin says so."""
    from kaggle_hw4.data.segments import FrameStore
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.execution.worker import prepare
    from kaggle_hw4.training.measure import measure

    prepared = prepare(spec)
    store = FrameStore(prepared.corpus, choose_device(spec.device))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    cost = measure(prepared.recipe, prepared.folds, spec.fold, store, spec.precision)
    sys.stdout.write(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main(RunSpec.from_json(sys.argv[1]))
