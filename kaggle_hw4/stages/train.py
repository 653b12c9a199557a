"""From a variant and a fold table to runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.spec import Asked
from kaggle_hw4.pace import clock_time, read_duration, write_duration, write_line
from kaggle_hw4.progress import Bar, no_bar

if TYPE_CHECKING:
    from kaggle_hw4.execution.executor import Executor
    from kaggle_hw4.progress import Monitor
    from kaggle_hw4.ranks import Ranks
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run
    from kaggle_hw4.stages.plan_time import Planned


@dataclass(frozen=True)
class FinishedRun:
    """A run, and what its manifest says."""

    run: "Run"
    manifest: "Manifest"


@dataclass(frozen=True)
class TimeGiven:
    """`seconds` for a command that `began` then (time.monotonic); `after` of them are for what
    follows the training.
    """

    seconds: float
    began: float
    after: float = 0.0


def time_given(time_limit: str | None) -> TimeGiven | None:
    """The time that a duration gives to a command which begins now; None where there is none."""
    if time_limit is None:
        return None
    return TimeGiven(read_duration(time_limit, "time_limit"), time.monotonic())


def train(asked: Asked, executor: "Executor", bar: Bar = no_bar) -> list[FinishedRun]:
    """Train what is not trained yet, on every fold with every seed; return all of it.

    `bar(name)` makes the progress of what comes before the first step. Raises what a training
    raises.
    """
    from kaggle_hw4.execution.executor import run_all
    from kaggle_hw4.execution.worker import prepare

    table = prepare(asked.spec, bar).folds
    chosen = asked.folds_of(table.count)
    for fold in chosen:
        table.check(fold)
    outcomes = run_all(executor, asked.spec.over(chosen, asked.seeds))
    return [FinishedRun(outcome.run, outcome.result()) for outcome in outcomes.values()]


@contextmanager
def in_time(
    asked: Sequence[Asked],
    given: TimeGiven | None,
    monitor: "Monitor",
    ranks: "Ranks | None" = None,
) -> Iterator[tuple[Sequence[Asked], "Executor"]]:
    """Yield what trains in this process, and `asked` as it is to be trained: in a given time, with
    the steps and networks that are chosen for it. The clock runs until the block ends. `ranks` are
    the processes that train together, with no time given.
    """
    from kaggle_hw4.execution.local import InProcess

    if given is None:
        yield asked, InProcess(monitor, ranks=ranks)
        return
    if ranks and ranks.count > 1:
        what = "a time is planned for a training by a single process"
        raise UsageError(what, "leave it out under torchrun", parameter="time_limit")
    from kaggle_hw4.stages.plan_time import plan_time

    planned = plan_time(asked, given, monitor.bar)
    planned.keep()
    budget = planned.budget(given.began)
    _say_plan(planned, given.seconds - budget.used)
    with budget.counting():
        yield planned.asked, InProcess(monitor, budget)


def _say_plan(planned: "Planned", left: float) -> None:
    """What was chosen, the time, and when all of it will be done."""
    for part in planned.limit.parts:
        count = len(part.folds) * len(part.seeds)
        noun = "run" if count == 1 else "runs"
        write_line(f"{part.variant}: {count} {noun} with {', '.join(part.settings)}")
    used = f", {write_duration(planned.limit.used)} of it used before" if planned.limit.used else ""
    whole = f"{write_duration(planned.limit.seconds)}{used}"
    write_line(f"it is {clock_time()}; done by {clock_time(left)} ({whole})")
