"""The finals: the best trials, and the variant's own values, on all folds and seeds.

A search that looks at one fold many times finds what suits that fold: the best of fifty noisy
figures is too high. Only what the finalists do on folds and seeds that the search never saw says
by how much.
"""

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import optuna

from kaggle_hw4.artifact import commit, write_text
from kaggle_hw4.errors import DataError, RecipeError
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.signals import listen
from kaggle_hw4.tuning.coordinator import POLL, Watcher, stopped
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.storage import RETRIES
from kaggle_hw4.tuning.study import DEFAULT, ROLE, best_trials
from kaggle_hw4.tuning.worker import Worker, end_workers

Scores = dict[tuple[int, int], float]  # by fold and seed


@dataclass(frozen=True)
class Candidate:
    """A trial that is retrained; its runs are called `variant`."""

    trial: int
    variant: str
    recipe: Recipe
    searched: float  # what the search saw

    @property
    def own(self) -> bool:
        """Whether these are the variant's own values."""
        return not self.variant.endswith("_tuned")


def find_candidates(plan: Plan, study: optuna.Study) -> list[Candidate]:
    """The best trials, and the variant's own values whether or not they are among them."""
    best = best_trials(study, plan.objective, plan.finalists)
    own = [
        t
        for t in best_trials(study, plan.objective, plan.trials)
        if t.user_attrs.get(ROLE) == DEFAULT
    ]
    return [
        Candidate(
            trial.number,
            plan.variant if trial in own else f"{plan.variant}_tuned",
            plan.space.suggest(optuna.trial.FixedTrial(trial.params), plan.base),  # type: ignore[arg-type]
            float(trial.value or 0.0),
        )
        for trial in [*best, *(t for t in own if t not in best)]
    ]


def retrain(plan: Plan, candidates: Iterable[Candidate], watcher: Watcher) -> dict[int, Scores]:
    """Every candidate's figure on every fold with every seed, by its trial.

    The runs are the workspace's own: what is done already is left alone, and an ensemble finds
    them. A candidate that diverges on some fold is left out. Raises Stopped or Interrupted.
    """
    finals = Finals(plan, candidates, watcher)
    with listen() as stop:
        try:
            while not finals.step():
                if stop.signal:
                    raise stopped(stop.signal, "the finals")
                time.sleep(POLL)
        finally:
            end_workers(finals.running)
    return finals.whole()


@dataclass(frozen=True)
class Task:
    """One run of the finals; `deaths` are the workers that it has cost."""

    candidate: Candidate
    fold: int
    seed: int
    deaths: int = 0


class Finals:
    def __init__(self, plan: Plan, candidates: Iterable[Candidate], watcher: Watcher) -> None:
        self.plan, self.watcher = plan, watcher
        folds = range(plan.folds.count)
        self.waiting = [Task(*task) for task in product(candidates, folds, plan.seeds)]
        self.total = len(self.waiting)
        self.scores: dict[int, Scores] = {task.candidate.trial: {} for task in self.waiting}
        self.running: dict[Worker, Task] = {}

    def step(self) -> bool:
        """Start and collect what there is; True when all is done."""
        while self.waiting and len(self.running) < self.plan.jobs:
            task = self.waiting.pop(0)
            self.running[self.start(task)] = task
        for worker in [w for w in self.running if w.process.poll() is not None]:
            self.collect(worker, self.running.pop(worker))
        left = len(self.waiting) + len(self.running)
        self.watcher.finals(self.total - left, self.total)
        return not left

    def start(self, task: Task) -> Worker:
        one = task.candidate
        folder = self.plan.folder / "finals" / str(one.trial)
        recipe = folder / f"{one.variant}.toml"
        write_text(recipe, one.recipe.to_toml())
        job = self.plan.job(recipe, task.fold, task.seed, self.plan.workspace.runs)
        return Worker(job, folder / f"fold{task.fold}-seed{task.seed}", self.plan.threads)

    def collect(self, worker: Worker, task: Task) -> None:
        worker.close()
        code, name = worker.process.returncode, f"trial {task.candidate.trial}, fold {task.fold}"
        if code == 0:
            value = self.plan.objective.of_run(worker.manifest())
            self.scores[task.candidate.trial][task.fold, task.seed] = value
        elif code == RecipeError.exit_code:
            self.watcher.say(f"{name}: {worker.complaint()}")
        elif code < 0 and task.deaths < RETRIES:
            self.waiting.append(replace(task, deaths=task.deaths + 1))
        else:
            raise DataError(f"{name}: {worker.complaint()}", "the same command then goes on")

    def whole(self) -> dict[int, Scores]:
        """The scores of the candidates that have all of them."""
        runs = self.plan.folds.count * len(self.plan.seeds)
        return {trial: found for trial, found in self.scores.items() if len(found) == runs}


def name_winner(
    plan: Plan, candidates: Iterable[Candidate], scores: dict[int, Scores]
) -> dict[str, Any]:
    """The candidates, best first, by their mean over all folds and seeds."""
    there = [one for one in candidates if one.trial in scores]
    own = next((one for one in there if one.own), None)
    if own is None:
        raise DataError("the variant's own values do not train on every fold", "see `hw4 train`")
    rows = [standing(plan, one, own, scores) for one in there]
    rows.sort(key=lambda row: -plan.objective.sign * row["mean"])
    return {"candidates": rows, "folds": plan.folds.count, "seeds": list(plan.seeds)}


def standing(
    plan: Plan, one: Candidate, own: Candidate, scores: dict[int, Scores]
) -> dict[str, Any]:
    """A candidate's mean, and its lead over the variant's own values, paired by fold and seed.

    `final_lead` leaves out the fold and the seed that the search saw: what it falls short of
    `search_lead` is selection.
    """
    sign, seen = plan.objective.sign, (plan.fold, plan.seeds[0])
    values, reference = scores[one.trial], scores[own.trial]
    pairs = [sign * (value - reference[k]) for k, value in values.items() if k != seen]
    several = len(pairs) > 1
    return {
        "trial": one.trial,
        "own": one.own,
        "searched": one.searched,
        "mean": statistics.fmean(values.values()),
        "deviation": statistics.stdev(values.values()) if len(values) > 1 else 0.0,
        "n": len(values),
        "search_lead": sign * (one.searched - own.searched),
        "final_lead": statistics.fmean(pairs) if pairs else None,
        "error": statistics.stdev(pairs) / len(pairs) ** 0.5 if several else None,
        "pairs": len(pairs),
    }


def write_winner(
    plan: Plan, study: optuna.Study, candidates: Iterable[Candidate], finals: dict[str, Any]
) -> str | None:
    """Write the winner as `pipelines/variants/<variant>_tuned.toml`, with where it came from.

    None, and nothing is written, when the variant's own values won.
    """
    row = finals["candidates"][0]
    if row["own"]:
        return None
    winner = next(one for one in candidates if one.trial == row["trial"])
    own = next(other for other in finals["candidates"] if other["own"])
    header = (
        f"{plan.variant}, tuned: trial {row['trial']} of {len(study.trials)} of the study "
        f"{plan.name}, on corpus {plan.corpus.hash}.",
        f"Validation by {plan.objective.name} on {plan.folds.name} ({plan.folds.hash}), mean ± "
        f"deviation of {row['n']} runs ({finals['folds']} folds, {len(plan.seeds)} seeds):",
        f"{row['mean']:.4f} ± {row['deviation']:.4f}, {plan.variant}'s own values "
        f"{own['mean']:.4f} ± {own['deviation']:.4f}. No Kaggle score.",
        f"`hw4 tune --variant {plan.variant} --trials {plan.trials}`, at commit {commit()}.",
    )
    write_text(
        plan.tuned, "".join(f"# {line}\n" for line in header) + "\n" + winner.recipe.to_toml()
    )
    return str(plan.tuned)
