"""The finals: the best trials, and the variant's own values, on all folds and seeds.

A search that looks at one fold many times finds what suits that fold: the best of fifty noisy
figures is too high. Only what the finalists do on folds and seeds that the search never saw says
by how much.
"""

import signal
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import optuna

from kaggle_hw4.artifact import commit, write_text
from kaggle_hw4.errors import DataError, Interrupted, RecipeError, Stopped
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.stopping import listen
from kaggle_hw4.tuning.coordinator import POLL, Watcher
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.storage import RETRIES
from kaggle_hw4.tuning.study import DEFAULT, ROLE, best_trials
from kaggle_hw4.tuning.worker import Worker

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
    them. A candidate that diverges on some fold has no scores. Raises Stopped or Interrupted.
    """
    waiting = list(product(candidates, range(plan.folds.count), plan.seeds, [0]))
    scores: dict[int, Scores] = {one.trial: {} for one, *_ in waiting}
    total, running = len(waiting), dict[Worker, tuple[Candidate, int, int, int]]()
    with listen() as stop:
        try:
            while waiting or running:
                while waiting and len(running) < plan.jobs:
                    task = waiting.pop(0)
                    running[_start(plan, *task[:3])] = task
                for worker in [w for w in running if w.process.poll() is not None]:
                    one, fold, seed, deaths = running.pop(worker)
                    worker.close()
                    code = worker.process.returncode
                    if code == 0:
                        scores[one.trial][fold, seed] = plan.objective.of_run(worker.manifest())
                    elif code == RecipeError.exit_code:
                        watcher.say(f"trial {one.trial}, fold {fold}: {worker.complaint()}")
                    elif code < 0 and deaths < RETRIES:
                        waiting.append((one, fold, seed, deaths + 1))
                    else:
                        raise DataError(f"trial {one.trial}, fold {fold}: {worker.complaint()}")
                watcher.finals(total - len(waiting) - len(running), total)
                if stop.signal:
                    kind = Interrupted if stop.signal == signal.SIGINT else Stopped
                    raise kind("the finals stopped", "the same command goes on")
                time.sleep(POLL)
        finally:
            for worker in running:
                worker.stop(signal.SIGTERM)
            for worker in running:
                worker.close()
    whole = plan.folds.count * len(plan.seeds)
    return {trial: found for trial, found in scores.items() if len(found) == whole}


def _start(plan: Plan, one: Candidate, fold: int, seed: int) -> Worker:
    folder = plan.folder / "finals" / str(one.trial)
    write_text(folder / f"{one.variant}.toml", one.recipe.to_toml())
    job = plan.job(folder / f"{one.variant}.toml", fold, seed, plan.workspace.runs)
    return Worker(job, folder / f"fold{fold}-seed{seed}", plan.threads)


def name_winner(
    plan: Plan, candidates: Iterable[Candidate], scores: dict[int, Scores]
) -> dict[str, Any]:
    """Who is best over all folds and seeds, and how much of its lead the search had made up.

    Leads are against the variant's own values, paired by fold and seed; `final_lead` leaves out
    the fold and the seed that the search saw.
    """
    sign, seen = plan.objective.sign, (plan.fold, plan.seeds[0])
    there = [one for one in candidates if one.trial in scores]
    own = next((one for one in there if one.own), None)
    if own is None:
        raise DataError("the variant's own values do not train on every fold", "see `hw4 train`")
    rows: list[dict[str, Any]] = []
    for one in there:
        pairs = [
            sign * (v - scores[own.trial][k]) for k, v in scores[one.trial].items() if k != seen
        ]
        values = list(scores[one.trial].values())
        rows.append(
            {
                "trial": one.trial,
                "own": one.own,
                "searched": one.searched,
                "mean": statistics.fmean(values),
                "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
                "n": len(values),
                "search_lead": sign * (one.searched - own.searched),
                "final_lead": statistics.fmean(pairs) if pairs else None,
                "error": statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else None,
                "pairs": len(pairs),
            }
        )
    rows.sort(key=lambda row: -sign * row["mean"])
    return {"candidates": rows, "folds": plan.folds.count, "seeds": list(plan.seeds)}


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
        f"{plan.name}, on corpus {plan.packed.hash}.",
        f"Validation by {plan.objective.name} on {plan.folds.name} ({plan.folds.hash}), mean ± "
        f"deviation of {row['n']} runs ({finals['folds']} folds, {len(plan.seeds)} seeds):",
        f"{row['mean']:.4f} ± {row['deviation']:.4f}, {plan.variant}'s own values "
        f"{own['mean']:.4f} ± {own['deviation']:.4f}. No Kaggle score.",
        f"`hw4 tune --variant {plan.variant} --trials {plan.trials}`, at commit {commit()}.",
    )
    path = plan.workspace.root / "pipelines" / "variants" / f"{plan.variant}_tuned.toml"
    write_text(path, "".join(f"# {line}\n" for line in header) + "\n" + winner.recipe.to_toml())
    return str(path)
