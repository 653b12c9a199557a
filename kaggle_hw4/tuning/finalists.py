"""The finals: the best trials, and the variant's own values, on all folds and seeds.

A search that looks at one fold many times finds what suits that fold: the best of fifty noisy
figures is too high. Only what the finalists do on folds and seeds that the search never saw says
by how much.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import optuna

from kaggle_hw4.artifact import commit, write_text
from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.executor import Outcome, run_all
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.tuning.coordinator import Watcher
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.study import DEFAULT, ROLE, best_trials

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
    candidate_of = {spec: each for each in candidates for spec in specs_of(plan, each)}
    scores: dict[int, Scores] = {each.trial: {} for each in candidate_of.values()}
    done = 0

    def report(spec: RunSpec, outcome: Outcome) -> None:
        nonlocal done
        done += 1
        watcher.finals(done, len(candidate_of))
        trial = candidate_of[spec].trial
        if outcome.manifest:
            value = plan.objective.of_run(outcome.manifest)
            scores[trial][spec.fold, spec.seed] = value
        else:
            watcher.say(f"trial {trial}, fold {spec.fold}: {outcome.reason}")

    watcher.finals(done, len(candidate_of))
    run_all(plan.executor, candidate_of, report)
    runs = plan.folds.count * len(plan.seeds)
    return {trial: values for trial, values in scores.items() if len(values) == runs}


def specs_of(plan: Plan, candidate: Candidate) -> list[RunSpec]:
    """The runs of a candidate, whose recipe is written to a file of its own."""
    recipe = plan.folder / "finals" / str(candidate.trial) / f"{candidate.variant}.toml"
    write_text(recipe, candidate.recipe.to_toml())
    spec = plan.spec(recipe, 0, 0, plan.workspace.runs)
    return spec.over(range(plan.folds.count), plan.seeds)


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
