"""From a given time to the steps and networks that it is spent on."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kaggle_hw4.artifact import provenance
from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.choice import (
    CorpusSize,
    choose_networks,
    choose_steps,
    fewest_seconds,
    settings_of,
)
from kaggle_hw4.execution.spec import Asked
from kaggle_hw4.execution.time_limit import (
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
from kaggle_hw4.stages.estimate import Estimate, cost_of, estimate_at, runs_of
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.workspace import Workspace


@dataclass(frozen=True)
class Planned:
    """What was asked for, with the settings that were chosen for its time; `path` keeps them."""

    asked: tuple[Asked, ...]
    limit: TimeLimit
    path: Path

    def keep(self) -> None:
        """Write what was chosen, so that the same command finds it."""
        if not self.path.is_file():
            write_time_limit(self.path, self.limit)

    def budget(self, began: float) -> Budget:
        """The clock of the command, which began at that time (time.monotonic)."""
        pairs = zip(self.asked, self.limit.parts, strict=True)
        runs = [(run, part.cost) for each, part in pairs for run in runs_of(each)]
        return Budget(self.path, self.limit, runs, began)

    def estimate(self) -> Estimate:
        costs = [part.cost for part in self.limit.parts]
        return estimate_at(self.asked, costs, self.limit.seconds, self.limit.used)


def plan_time(asked: Sequence[Asked], given: TimeGiven, bar: Bar) -> Planned:
    """Choose steps and networks so that all of `asked` is trained and predicted in the given time;
    or find what was chosen when the same was asked for before.

    Nothing is written. UsageError where the time is too short for a handful of steps and the
    predictions.
    """
    prepared = [prepare(each.spec) for each in asked]
    corpus, folds = prepared[0].corpus, prepared[0].folds
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
    path = limit.path(Workspace(Path(asked[0].spec.workspace)))
    if path.is_file():
        limit = read_time_limit(path)
    else:
        limit = limit.model_copy(update={"parts": _choose(asked, limit, given.began, bar)})
    pairs = zip(asked, limit.parts, strict=True)
    return Planned(tuple(_with(each, part.settings) for each, part in pairs), limit, path)


def _choose(asked: Sequence[Asked], limit: TimeLimit, began: float, bar: Bar) -> tuple[Part, ...]:
    """The parts of `limit` with what was chosen for each. Measuring takes some of the time, too."""
    runs = sum(len(part.folds) * len(part.seeds) for part in limit.parts)

    def share() -> float:
        return (limit.available - START - (time.monotonic() - began)) / runs

    # One network of each kind, where the settings don't say how many.
    single = [each if _counts(each) else _with(each, ["networks.count=1"]) for each in asked]
    prepared = [prepare(each.spec) for each in single]
    costs = [cost_of(each) for each in counted(prepared, bar("recipes"))]
    _refuse_too_short(limit, costs, runs, share())
    # As many of them as the time is best spent on.
    parts = []
    for each, one_each, cost, part in zip(asked, prepared, costs, limit.parts, strict=True):
        recipe, networks = prepare(each.spec).recipe, None
        if not _counts(each):
            networks = choose_networks(share(), cost, size_of(one_each), recipe)
            if networks > 1:
                cost = cost_of(prepare(_with(each, [f"networks.count={networks}"]).spec))
        parts.append((part, recipe, networks, cost))
    # The steps, in what time is left now.
    chosen = []
    for part, recipe, networks, cost in parts:
        choice = choose_steps(share(), cost, recipe, networks)
        update = {"settings": settings_of(recipe, choice), "cost": cost}
        chosen.append(part.model_copy(update=update))
    return tuple(chosen)


def _refuse_too_short(limit: TimeLimit, costs: Sequence[Cost], runs: int, share: float) -> None:
    least = max(fewest_seconds(cost) for cost in costs)
    if share < least:
        needed = (limit.seconds + runs * (least - share)) / (1 - RESERVE)
        noun = "a run" if runs == 1 else f"{runs} runs"
        what = f"{write_duration(limit.seconds)} is too short for {noun} and the predictions"
        then = f"give {write_duration(10 * math.ceil(needed / 10))} or more"
        raise UsageError(what, then, "time_limit")


def size_of(prepared: Prepared) -> CorpusSize:
    """What a fold trains on."""
    corpus, folds = prepared.corpus, prepared.folds
    rows, speakers = folds.training(prepared.spec.fold), len(corpus.speakers)
    sessions = len(np.unique(folds.session[rows])) / speakers if folds.by == "session" else 0.0
    return CorpusSize(len(rows), speakers, sessions)


def _with(asked: Asked, settings: Sequence[str]) -> Asked:
    """The same with settings laid over those that were asked for."""
    spec = asked.spec
    return replace(asked, spec=replace(spec, settings=(*spec.settings, *settings)))


def _counts(asked: Asked) -> bool:
    """Whether the settings say how many networks there are."""
    keys = [setting.partition("=")[0].strip() for setting in asked.spec.settings]
    return any(key.startswith("networks.") and key.endswith(".count") for key in keys)
