"""From a variant and a fold table to runs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.placement import LOCAL, Placement, local_executor
from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.pace import clock_time, read_duration, write_duration, write_line
from kaggle_hw4.progress import Bar, Progress, no_bar

if TYPE_CHECKING:
    from kaggle_hw4.execution.executor import Executor, Watch
    from kaggle_hw4.progress import Monitor
    from kaggle_hw4.ranks import Ranks
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run
    from kaggle_hw4.stages.estimate import Measure
    from kaggle_hw4.stages.plan_time import Planned


SLOWEST = 5.0  # slower than that it waits for a disk, and not for a processor
MOST = 0.2  # of all the time is kept for what follows a training, where that is made longer
SHORT = 0.2  # seconds of processor time; less says nothing of how slow a machine is


@dataclass(frozen=True)
class FinishedRun:
    """A run, and what its manifest says."""

    run: "Run"
    manifest: "Manifest"


@dataclass(frozen=True)
class TimeGiven:
    """`seconds` for a command that `began` then (time.monotonic), after so much time of the
    `processor` (time.process_time); `after` of them are for what follows the training.
    """

    seconds: float
    began: float
    after: float = 0.0
    processor: float = 0.0

    def keeping(self, seconds: float) -> "TimeGiven":
        """The same with so many seconds for what follows the training: more where the machine's
        other work slows this process down now, but not beyond MOST of all the time.
        """
        more = min(seconds * self.slowdown, MOST * self.seconds)
        return replace(self, after=max(seconds, more))

    @property
    def slowdown(self) -> float:
        """How many times as long as alone the command has taken; from 1 to SLOWEST."""
        busy = time.process_time() - self.processor
        ratio = (time.monotonic() - self.began) / max(busy, SHORT)
        return min(SLOWEST, max(1.0, ratio))


def time_given(time_limit: str | None) -> TimeGiven | None:
    """The time that a duration gives to a command which begins now; None where there is none."""
    if time_limit is None:
        return None
    seconds = read_duration(time_limit, "time_limit")
    return TimeGiven(seconds, time.monotonic(), processor=time.process_time())


def train(
    asked: Asked, executor: "Executor", bar: Bar = no_bar, watch: "Watch | None" = None
) -> list[FinishedRun]:
    """Train what is not trained yet, on every fold with every seed; return all of it.

    `bar(name)` makes the progress of what comes before the first step, `watch` sees how the runs
    stand. Raises what a training raises.
    """
    return train_all([asked], executor, bar, watch)


def show_ended(progress: Progress) -> "Watch":
    """How many of the runs have ended."""
    return lambda jobs: progress(sum(job.outcome is not None for job in jobs), len(jobs))


def train_all(
    asked: Sequence[Asked],
    executor: "Executor",
    bar: Bar = no_bar,
    watch: "Watch | None" = None,
    ended: Callable[[FinishedRun], None] = lambda _: None,
) -> list[FinishedRun]:
    """The same for several variants, whose runs are all independent of one another; `ended` is
    called with each run as it ends.
    """
    from kaggle_hw4.execution.executor import Outcome, no_watch, run_all
    from kaggle_hw4.execution.worker import prepare

    specs: list[RunSpec] = []
    for each in asked:
        table = prepare(each.spec, bar).folds
        chosen = each.folds_of(table.count)
        for fold in chosen:
            table.check(fold)
        specs += each.spec.over(chosen, each.seeds)

    def report(_: RunSpec, outcome: Outcome) -> None:
        if outcome.manifest:
            ended(FinishedRun(outcome.run, outcome.manifest))

    outcomes = run_all(executor, specs, report, watch or no_watch)
    results = (outcomes[spec] for spec in dict.fromkeys(specs))
    return [FinishedRun(outcome.run, outcome.result()) for outcome in results]


@contextmanager
def in_time(
    asked: Sequence[Asked],
    given: TimeGiven | None,
    monitor: "Monitor",
    placement: Placement | None = None,
    ranks: "Ranks | None" = None,
) -> Iterator[tuple[Sequence[Asked], "Executor"]]:
    """Yield what trains, in this process or where `placement` says, and `asked` as it is to be
    trained: in a given time, with the steps and networks that are chosen for it. The clock runs
    until the block ends. UsageError for a time where `placement` is another machine.
    `ranks` are the processes that train together, here and with no time given.
    """
    from kaggle_hw4.execution.local import InProcess, Subprocesses

    if ranks and (given or placement):
        what = "processes that train together have no time limit and no other place to train in"
        parameter = "time_limit" if given else "on"
        raise UsageError(what, "leave it out under torchrun", parameter)
    if placement and given:
        placement.check_speed("time_limit")
    here = nullcontext(InProcess(monitor, ranks=ranks))
    with placement.executor(asked[0].spec.workspace) if placement else here as executor:
        if given is None:
            yield asked, executor
            return
        from kaggle_hw4.stages.plan_time import plan_time

        assert isinstance(executor, InProcess | Subprocesses)
        planned = plan_time(asked, given, monitor.bar, measure_at(placement))
        planned.keep()
        executor.budget = budget = planned.budget(given.began)
        _say_plan(planned, given.seconds - budget.used)
        with budget.counting():
            yield planned.asked, executor


def measure_at(placement: Placement | None) -> "Measure | None":
    """What measures runs as they are trained there; None is this process, where those of another
    machine are measured, too.
    """
    if placement is None or placement.on != LOCAL:
        return None
    from kaggle_hw4.stages.estimate import InProcesses

    return InProcesses(local_executor(placement.jobs, placement.threads))


def _say_plan(planned: "Planned", left: float) -> None:
    """What was chosen, the time, and when all of it will be done."""
    for part in planned.limit.parts:
        count = len(part.folds) * len(part.seeds)
        noun = "run" if count == 1 else "runs"
        write_line(f"{part.variant}: {count} {noun} with {', '.join(part.settings)}")
    used = f", {write_duration(planned.limit.used)} of it used before" if planned.limit.used else ""
    whole = f"{write_duration(planned.limit.seconds)}{used}"
    write_line(f"it is {clock_time()}; done by {clock_time(left)} ({whole})")
