"""The finalists: the best trials and the baseline, retrained on all folds and seeds.

A search that validates on one fold many times overfits to it: the best of fifty noisy values is too
high. By how much, only folds and seeds that the search never used can tell.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import optuna

from kaggle_hw4.artifact import write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.executor import Executor, Outcome, run_all
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.tuning.coordinator import StudyMonitor
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.study import BASELINE, ROLE, best_trials

Scores = dict[tuple[int, int], float]  # by fold and seed


@dataclass(frozen=True)
class Finalist:
    """A trial that is retrained; its runs are called `variant`."""

    trial: int
    variant: str
    recipe: Recipe
    search_value: float  # of the objective, on the search's fold and seed

    @property
    def baseline(self) -> bool:
        """Whether this is the variant as it is."""
        return not self.variant.endswith("_tuned")


def find_candidates(plan: Plan, study: optuna.Study) -> list[Finalist]:
    """The best trials, and the baseline whether or not it is among them."""
    ranked = best_trials(study, plan.objective, len(study.trials))
    baselines = [trial for trial in ranked if trial.user_attrs.get(ROLE) == BASELINE]
    best = ranked[: plan.finalists]
    return [
        Finalist(
            trial.number,
            plan.variant if trial in baselines else f"{plan.variant}_tuned",
            plan.space.suggest(optuna.trial.FixedTrial(trial.params), plan.baseline),  # type: ignore[arg-type]
            float(trial.value or 0.0),
        )
        for trial in [*best, *(trial for trial in baselines if trial not in best)]
    ]


def retrain(
    plan: Plan, candidates: Iterable[Finalist], monitor: StudyMonitor, executor: Executor
) -> dict[int, Scores]:
    """The objective of every candidate on every fold with every seed, by its trial.

    The runs go to the study's own folder; finished ones are not repeated. A candidate that diverges
    on some fold is left out. Raises Stopped or Interrupted.
    """
    candidate_of = {spec: each for each in candidates for spec in specs_of(plan, each)}
    scores: dict[int, Scores] = {each.trial: {} for each in candidate_of.values()}
    ended = 0

    def report(spec: RunSpec, outcome: Outcome) -> None:
        nonlocal ended
        ended += 1
        monitor.finals(ended, len(candidate_of))
        trial = candidate_of[spec].trial
        if outcome.manifest:
            value = plan.objective.of_run(outcome.manifest)
            scores[trial][spec.fold, spec.seed] = value
        else:
            monitor.say(f"trial {trial}, fold {spec.fold}, seed {spec.seed}: {outcome.reason}")

    monitor.finals(ended, len(candidate_of))
    run_all(executor, candidate_of, report)
    runs = plan.folds.count * len(plan.seeds)
    return {trial: values for trial, values in scores.items() if len(values) == runs}


def specs_of(plan: Plan, candidate: Finalist) -> list[RunSpec]:
    """The runs of a candidate, whose recipe is written to a file of its own."""
    # By its contents: a trial that crashed and was retried has another number.
    folder = plan.folder / "finals" / candidate.recipe.hash[:8]
    recipe = folder / f"{candidate.variant}.toml"
    write_text(recipe, candidate.recipe.to_toml())
    runs = plan.workspace.runs if _trained_already(plan, candidate) else plan.runs
    return plan.spec(recipe, 0, 0, runs).over(range(plan.folds.count), plan.seeds)


def group_of(plan: Plan, candidate: Finalist) -> str:
    """The name of the folder that holds the runs of a candidate."""
    return run_of(plan, candidate, plan.runs, 0, 0).folder.parent.name


def run_of(plan: Plan, candidate: Finalist, runs: Path, fold: int, seed: int) -> Run:
    inputs = [plan.corpus.hash, plan.folds.hash]
    return Run.of(runs, candidate.variant, candidate.recipe, inputs, fold, seed)


def _trained_already(plan: Plan, candidate: Finalist) -> bool:
    """Whether all runs of a candidate are among the workspace's, predicted as its recipe says: the
    baseline often is.
    """
    if (plan.runs / group_of(plan, candidate)).exists():
        return False
    pairs = product(range(plan.folds.count), plan.seeds)
    runs = [run_of(plan, candidate, plan.workspace.runs, fold, seed) for fold, seed in pairs]
    return all(run.done for run in runs) and all(_as_asked(run, candidate.recipe) for run in runs)


def _as_asked(run: Run, recipe: Recipe) -> bool:
    try:
        return run.manifest().prediction.config == recipe.predict
    except DataError:  # damaged, or of another version
        return False
