"""From what is to be trained to what it will take, by some measured steps and predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import choose_device, release_memory
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.measure import measure_together
from kaggle_hw4.execution.spec import Asked
from kaggle_hw4.execution.worker import Prepared, prepare
from kaggle_hw4.models.build import parameters_of
from kaggle_hw4.progress import Bar, counted
from kaggle_hw4.runs import Run
from kaggle_hw4.training.measure import Cost, bytes_of_run, measure


@dataclass(frozen=True)
class RunEstimate:
    """What is left to do of a run: seconds, predictions included; 0 where it is finished. `memory`
    is the most bytes that it takes, as measured, `disk` the bytes that it leaves.
    """

    run: str
    steps: int
    networks: int
    seconds: float
    memory: int
    disk: int


@dataclass(frozen=True)
class Estimate:
    """Of all runs: the seconds until the last is finished, `jobs` at a time; the sum of their bytes
    on the disk, the most of their memory. With a `limit` in seconds, `used` of them are over.
    """

    runs: tuple[RunEstimate, ...]
    seconds: float
    memory: int
    disk: int
    limit: float | None = None
    used: float = 0.0
    jobs: int = 1


class Measure(Protocol):
    """How runs are trained: `jobs` at a time, each `starting` for so many seconds. And what each
    costs then.
    """

    @property
    def jobs(self) -> int: ...

    @property
    def starting(self) -> float: ...

    def cost(self, prepared: Prepared, runs: int) -> Cost:
        """Measure a recipe that is one of so many runs."""


class OneByOne:
    """One run after the other in this process."""

    jobs, starting = 1, 0.0

    def cost(self, prepared: Prepared, runs: int) -> Cost:  # noqa: ARG002
        return cost_of(prepared)


class InProcesses:
    """The processes of an executor of this machine; they slow one another down."""

    def __init__(self, executor: Subprocesses) -> None:
        self.executor, self.jobs, self.starting = executor, executor.jobs, 0.0

    def cost(self, prepared: Prepared, runs: int) -> Cost:
        measured = measure_together(prepared.spec, self.executor, min(self.jobs, runs))
        self.starting = max(self.starting, measured.starting)
        return measured.cost


def estimate(asked: Sequence[Asked], bar: Bar, measure: Measure | None = None) -> Estimate:
    """Measure each recipe, as it is trained; nothing is written. Raises what a training raises."""
    data = prepare(asked[0].spec)
    prepared = [prepare(each.spec, like=data) for each in asked]
    measure, runs = measure or OneByOne(), 0
    for each, ready in zip(asked, prepared, strict=True):
        runs += len(runs_of(each, ready))
    costs = [measure.cost(each, runs) for each in counted(prepared, bar("recipes"))]
    return estimate_at(
        asked, prepared, costs, jobs=min(measure.jobs, runs), starting=measure.starting
    )


def estimate_at(
    asked: Sequence[Asked],
    prepared: Sequence[Prepared],
    costs: Sequence[Cost],
    limit: float | None = None,
    used: float = 0.0,
    jobs: int = 1,
    starting: float = 0.0,
) -> Estimate:
    """The estimate at what a step, a validation and the predictions of each recipe cost, where
    `jobs` are trained at a time, each `starting` for so many seconds.
    """
    rows = zip(asked, prepared, costs, strict=True)
    runs = tuple(run for row in rows for run in _estimates(*row))
    return Estimate(
        runs=runs,
        seconds=_seconds_of(runs, jobs, starting),
        memory=max(run.memory for run in runs),
        disk=sum(run.disk for run in runs),
        limit=limit,
        used=used,
        jobs=jobs,
    )


def _seconds_of(runs: Sequence[RunEstimate], jobs: int, starting: float) -> float:
    """Seconds until the last is finished; each begins where one has ended first."""
    ends = [0.0] * jobs
    for run in runs:
        if run.seconds:
            ends[ends.index(min(ends))] += starting + run.seconds
    return max(ends)


def cost_of(prepared: Prepared) -> Cost:
    """Measure a recipe on its fold and device."""
    recipe, folds, spec = prepared.recipe, prepared.folds, prepared.spec
    device = choose_device(spec.device)
    cost = measure(recipe, folds, spec.fold, FrameStore(prepared.corpus, device), spec.precision)
    release_memory(device)
    return cost


def runs_of(asked: Asked, prepared: Prepared) -> list[Run]:
    """The run of every fold with every seed, trained or not."""
    folds, group = asked.folds_of(prepared.folds.count), prepared.run.folder.parent
    return [Run(group / f"fold{fold}-seed{seed}") for seed, fold in product(asked.seeds, folds)]


def _estimates(asked: Asked, prepared: Prepared, cost: Cost) -> list[RunEstimate]:
    recipe, corpus, folds = prepared.recipe, prepared.corpus, prepared.folds
    parameters = parameters_of(recipe, len(corpus.speakers), corpus.n_mels)
    schedule, estimates = recipe.schedule, []
    for run in runs_of(asked, prepared):
        rows = len(folds.validation(run.fold)) + len(folds.seen_session(run.fold))
        trained = max((int(line["step"]) for line in run.logged()), default=0)
        left = cost.run(max(0, schedule.steps - trained), schedule.validate_every)
        estimates.append(
            RunEstimate(
                run=run.name,
                steps=schedule.steps,
                networks=sum(config.count for config in recipe.networks),
                seconds=0.0 if run.done else left,
                memory=cost.memory,
                disk=bytes_of_run(
                    recipe, parameters, len(corpus.speakers), rows + len(corpus.test)
                ),
            )
        )
    return estimates
