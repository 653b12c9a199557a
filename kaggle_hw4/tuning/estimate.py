"""The cost of a study, extrapolated from a few measured training steps."""

import math
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna

from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import choose_device, threads
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.measure import Measured, measure_together
from kaggle_hw4.execution.placement import local_executor
from kaggle_hw4.progress import Bar, counted, no_bar
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.measure import Cost, measure
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.quiet import quiet_optuna
from kaggle_hw4.tuning.study import REDUCTION_FACTOR, min_steps

DRAWS = 3  # random points of the space, measured beside the baseline


@dataclass(frozen=True)
class CostEstimate:
    """Times in seconds. `step` and `validation` are means over the measured recipes, `trial` is a
    whole run with its predictions; `trained_share` is the share of all steps that pruning leaves.
    """

    measured: int  # recipes
    step: float
    slowest_step: float
    validation: float
    trial: float
    trained_share: float
    search: float
    finals: float
    final_runs: int
    total: float
    jobs: int = 1  # runs at a time

    def trials_in(self, seconds: float, trials: int) -> int:
        """How many of the trials fit into a time that the finals fit in, too; one in any case."""
        fitting = trials * max(0.0, seconds - self.finals) / self.search
        return max(1, min(trials, int(fitting)))


def estimate(plan: Plan, bar: Bar = no_bar) -> CostEstimate:
    """Measure the baseline and some random points of the space, and extrapolate to the study.

    Each is measured in as many processes as there are jobs, which slow one another down. UsageError
    where the runs are trained on a cluster.
    """
    plan.placement.check_speed("dry_run")
    executor = local_executor(plan.placement.jobs, plan.placement.threads)
    # Measure.
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=plan.seeds[0]))
        recipes = [
            plan.baseline,
            *(plan.space.suggest(study.ask(), plan.baseline) for _ in range(DRAWS)),
        ]
    measure_all = _measure_here if executor.jobs == 1 else _measure_together
    measured = measure_all(plan, counted(recipes, bar("recipes")), executor)
    costs = [each.cost for each in measured]
    mean = Cost(*np.mean([astuple(cost) for cost in costs], 0).tolist())
    # Extrapolate to a trial, then to all of them and to the finals.
    schedule = plan.baseline.schedule
    startup = max(each.starting for each in measured)
    training = mean.run(schedule.steps, schedule.validate_every)
    share = trained_share(min_steps(schedule), schedule.steps)
    final_runs = (plan.finalists + 1) * plan.folds.count * len(plan.seeds)
    trial = startup + training
    # The first trial is never pruned, and the last finals may leave processors idle.
    search = max(trial, plan.trials * (startup + share * training) / executor.jobs)
    finals = math.ceil(final_runs / executor.jobs) * trial
    return CostEstimate(
        measured=len(recipes),
        step=mean.step,
        slowest_step=max(cost.step for cost in costs),
        validation=mean.validation,
        trial=trial,
        trained_share=share,
        search=search,
        finals=finals,
        final_runs=final_runs,
        total=search + finals,
        jobs=executor.jobs,
    )


def _measure_here(plan: Plan, recipes: Iterable[Recipe], executor: Subprocesses) -> list[Measured]:
    store, startup = FrameStore(plan.corpus, choose_device(plan.device)), startup_seconds()
    with threads(executor.threads):
        return [
            Measured(measure(each, plan.folds, plan.fold, store, plan.precision), startup)
            for each in recipes
        ]


def _measure_together(
    plan: Plan, recipes: Iterable[Recipe], executor: Subprocesses
) -> list[Measured]:
    measured = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{plan.variant}.toml"
        for recipe in recipes:
            path.write_text(recipe.to_toml(), encoding="utf-8")
            spec = plan.spec(path, plan.fold, plan.seeds[0], path.parent)
            measured.append(measure_together(spec, executor, executor.jobs))
    return measured


def startup_seconds() -> float:
    """What a worker takes before its first step."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import kaggle_hw4.training.loop"], check=True)
    return time.perf_counter() - begin


def trained_share(first: int, steps: int) -> float:
    """The share of all training steps that Hyperband leaves, averaged over its brackets.

    `first` is the first rung, `steps` the last. Each bracket starts to prune at another rung; at
    every rung, one trial in REDUCTION_FACTOR is kept.
    """
    rungs = [first]
    while rungs[-1] * REDUCTION_FACTOR <= steps:
        rungs.append(rungs[-1] * REDUCTION_FACTOR)
    shares, sizes = [], []
    for start in range(len(rungs)):
        # The steps that a trial of this bracket trains on average, as a share of all.
        ends = [*rungs[start:-1], steps]
        trained, survivors, before = 0.0, 1.0, 0
        for end in ends:
            trained += survivors * (end - before)
            survivors, before = survivors / REDUCTION_FACTOR, end
        shares.append(trained / steps)
        # The bracket's size, as Optuna's HyperbandPruner has it.
        left = len(rungs) - 1 - start
        sizes.append(np.ceil(len(rungs) * REDUCTION_FACTOR**left / (left + 1)))
    return float(np.average(shares, weights=sizes))
