"""From a given time to the steps and networks that it is spent on."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kaggle_hw4.artifact import provenance
from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.choice import (
    choose_networks,
    choose_steps,
    fewest_seconds,
    settings_of,
)
from kaggle_hw4.execution.spec import Asked
from kaggle_hw4.execution.time_limit import (
    END,
    RESERVE,
    START,
    Budget,
    Part,
    TimeLimit,
    read_time_limit,
    write_time_limit,
)
from kaggle_hw4.execution.worker import Prepared, prepare
from kaggle_hw4.pace import write_duration
from kaggle_hw4.progress import Bar, counted
from kaggle_hw4.stages.estimate import Estimate, Measure, OneByOne, estimate_at, runs_of
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """What was asked for, with the settings that were chosen for its time; `path` keeps them."""

    asked: tuple[Asked, ...]
    prepared: tuple[Prepared, ...]
    limit: TimeLimit
    path: Path
    jobs: int = 1  # runs at a time

    def keep(self) -> None:
        """Write what was chosen, so that the same command finds it."""
        if not self.path.is_file():
            write_time_limit(self.path, self.limit)

    def budget(self, began: float) -> Budget:
        """The clock of the command, which began at that time (time.monotonic)."""
        rows = zip(self.asked, self.prepared, self.limit.parts, strict=True)
        runs = [(run, part.cost) for a, p, part in rows for run in runs_of(a, p)]
        return Budget(self.path, self.limit, runs, began)

    def estimate(self) -> Estimate:
        costs = [part.cost for part in self.limit.parts]
        limit = self.limit
        return estimate_at(
            self.asked, self.prepared, costs, limit.seconds, limit.used, jobs=self.jobs
        )


def plan_time(
    asked: Sequence[Asked], given: TimeGiven, bar: Bar, measure: Measure | None = None
) -> Planned:
    """Choose steps and networks so that all of `asked` is trained and predicted in the given time;
    or find what was chosen when the same was asked for before.

    `measure` says how runs are trained and what they cost; else one after the other, here.

    Nothing is written. UsageError where the time is too short for a handful of steps and the
    predictions.
    """
    data = prepare(asked[0].spec)
    prepared = [prepare(each.spec, like=data) for each in asked]
    corpus, folds = data.corpus, data.folds
    parts = tuple(
        Part(
            variant=each.run.variant,
            recipe=each.recipe.hash,
            folds=tuple(wanted.folds_of(folds.count)),
            seeds=tuple(wanted.seeds),
        )
        for each, wanted in zip(prepared, asked, strict=True)
    )
    limit = TimeLimit(
        seconds=given.seconds,
        corpus=corpus.hash,
        folds=folds.hash,
        parts=parts,
        after=given.after,
        made_by=provenance(),
    )
    measure = measure or OneByOne()
    path = limit.path(Workspace(Path(asked[0].spec.workspace)))
    if path.is_file():
        limit = read_time_limit(path)
    else:
        limit = limit.model_copy(
            update={"parts": _choose(asked, prepared, limit, given.began, bar, measure)}
        )
    pairs = zip(asked, limit.parts, strict=True)
    chosen = tuple(_with(each, part.settings) for each, part in pairs)
    again = tuple(prepare(each.spec, like=data) for each in chosen)
    runs = sum(len(part.folds) * len(part.seeds) for part in parts)
    return Planned(chosen, again, limit, path, min(measure.jobs, runs))


def _choose(
    asked: Sequence[Asked],
    prepared: Sequence[Prepared],
    limit: TimeLimit,
    began: float,
    bar: Bar,
    measure: Measure,
) -> tuple[Part, ...]:
    """The parts of `limit` with what was chosen for each. Measuring takes some of the time, too."""
    runs = sum(len(part.folds) * len(part.seeds) for part in limit.parts)
    rounds = math.ceil(runs / measure.jobs)

    def share() -> float:
        left = limit.available - START - (time.monotonic() - began)
        return left / rounds - (measure.starting + END if measure.starting else 0.0)

    # One network of each kind, where the settings don't say how many.
    single = [each if _counts(each) else _with(each, ["networks.count=1"]) for each in asked]
    data = prepared[0]
    measured = [prepare(each.spec, like=data) for each in single]
    costs = [measure.cost(each, runs) for each in counted(measured, bar("recipes"))]
    _refuse_too_short(limit, costs, runs, rounds, share())
    # As many of them as the time is best spent on.
    parts = []
    for each, whole, cost, part in zip(asked, prepared, costs, limit.parts, strict=True):
        recipe, networks = whole.recipe, None
        if not _counts(each):
            utterances = len(data.folds.training(each.spec.fold))
            networks = choose_networks(share(), cost, utterances, recipe)
            if networks > 1:
                several = _with(each, [f"networks.count={networks}"])
                cost = measure.cost(prepare(several.spec, like=data), runs)
        parts.append((part, recipe, networks, cost))
    # The steps, in what time is left now.
    chosen = []
    for part, recipe, networks, cost in parts:
        choice = choose_steps(share(), cost, recipe, networks)
        update = {"settings": settings_of(recipe, choice), "cost": cost}
        chosen.append(part.model_copy(update=update))
    return tuple(chosen)


def _refuse_too_short(
    limit: TimeLimit, costs: Sequence[Cost], runs: int, rounds: int, share: float
) -> None:
    """`rounds` of runs follow one another, each of which has so much time."""
    least = max(fewest_seconds(cost) for cost in costs)
    if share < least:
        needed = (limit.seconds + rounds * (least - share)) / (1 - RESERVE)
        noun = "a run" if runs == 1 else f"{runs} runs"
        what = f"{write_duration(limit.seconds)} is too short for {noun} and the predictions"
        then = f"give {write_duration(10 * math.ceil(needed / 10))} or more"
        raise UsageError(what, then, "time_limit")


def _with(asked: Asked, settings: Sequence[str]) -> Asked:
    """The same with settings laid over those that were asked for."""
    spec = asked.spec
    return replace(asked, spec=replace(spec, settings=(*spec.settings, *settings)))


def _counts(asked: Asked) -> bool:
    """Whether the settings say how many networks there are."""
    keys = [setting.partition("=")[0].strip() for setting in asked.spec.settings]
    return any(key.startswith("networks.") and key.endswith(".count") for key in keys)
