"""From a variant and a fold table to runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.progress import Bar, no_bar

if TYPE_CHECKING:
    from kaggle_hw4.execution.executor import Executor
    from kaggle_hw4.runs import Manifest, Run


@dataclass(frozen=True)
class FinishedRun:
    """A run, and what its manifest says."""

    run: "Run"
    manifest: "Manifest"


def train(
    spec: RunSpec,
    executor: "Executor",
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] = (0,),
    bar: Bar = no_bar,
) -> list[FinishedRun]:
    """Train what is not trained yet of `spec`, on every fold with every seed; return all of it.

    `folds` None is all that there are; `bar(name)` makes the progress of what comes before the
    first step. Raises what a training raises.
    """
    from kaggle_hw4.execution.executor import run_all
    from kaggle_hw4.execution.worker import prepare

    table = prepare(spec, bar).folds
    chosen = range(table.count) if folds is None else folds
    for fold in chosen:
        table.check(fold)
    outcomes = run_all(executor, spec.over(chosen, seeds))
    return [FinishedRun(outcome.run, outcome.result()) for outcome in outcomes.values()]
