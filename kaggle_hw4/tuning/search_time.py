"""The time of a study: how long it asks for trials, so that the finals still fit in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kaggle_hw4.artifact import provenance
from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.time_limit import (
    Budget,
    Part,
    TimeLimit,
    read_time_limit,
    write_time_limit,
)
from kaggle_hw4.pace import clock_time, in_words, write_duration
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.tuning.coordinator import StudyMonitor
from kaggle_hw4.tuning.estimate import CostEstimate, estimate
from kaggle_hw4.tuning.plan import Plan


@dataclass(frozen=True)
class SearchTime:
    """What is left of the time of a study, and what a trial and the finals cost."""

    budget: Budget
    cost: CostEstimate

    def allows_trial(self) -> bool:
        """Whether another trial, trained to its end, leaves the time for the finals."""
        return self.budget.left >= self.cost.trial + self.cost.finals


@contextmanager
def search_time(
    plan: Plan, given: TimeGiven | None, monitor: StudyMonitor
) -> Iterator[SearchTime | None]:
    """The time of the study while the block runs it; None where it has all the time.

    The time that it has used before counts. UsageError where one trial and the finals do not fit.
    """
    if given is None:
        yield None
        return
    limit = limit_of(plan, given)
    path = limit.path(plan.workspace)
    if path.is_file():
        limit = read_time_limit(path)
    cost = estimate(plan)
    needed = cost.trial + cost.finals + limit.seconds - limit.available
    if needed > limit.seconds and not limit.used:
        what = f"{write_duration(limit.seconds)} is too short for a trial and the finals"
        raise UsageError(
            what, f"give {write_duration(60 * (needed // 60 + 1))} or more", "time_limit"
        )
    write_time_limit(path, limit)
    budget = Budget(path, limit, (), given.began)
    asking = max(0.0, budget.left - cost.finals - cost.trial)
    monitor.say(
        f"it is {clock_time()}; asks for trials until about {clock_time(asking)}, "
        f"then the finals ({in_words(cost.finals)}); done by {clock_time(budget.left)}"
    )
    with budget.counting():
        yield SearchTime(budget, cost)


def limit_of(plan: Plan, given: TimeGiven) -> TimeLimit:
    """The time limit of a study, whose steps are those of its variant."""
    seeds, folds = tuple(plan.seeds), tuple(range(plan.folds.count))
    study = Part(variant=f"tune_{plan.name}", recipe=plan.baseline.hash, folds=folds, seeds=seeds)
    return TimeLimit(
        seconds=given.seconds,
        corpus=plan.corpus.hash,
        folds=plan.folds.hash,
        parts=(study,),
        made_by=provenance(),
    )
