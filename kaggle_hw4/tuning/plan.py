"""What to tune, on what, and how much of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import UsageError
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.tuning.objective import Objective, find_objective, find_table
from kaggle_hw4.tuning.space import Space, read_space
from kaggle_hw4.tuning.worker import Job
from kaggle_hw4.workspace import Workspace


@dataclass(frozen=True)
class Plan:
    workspace: Workspace
    variant: str
    base: Recipe
    space: Space
    objective: Objective
    corpus: Corpus
    folds: Folds
    name: str  # of the study
    fold: int = 0  # that the search validates on
    seeds: Sequence[int] = (0,)  # of the finals; the search uses the first
    trials: int = 50
    finalists: int = 3
    jobs: int = 1
    device: str = "auto"

    @property
    def folder(self) -> Path:
        return self.workspace.studies / self.name

    @property
    def tuned(self) -> Path:
        """Where the winner is written."""
        return self.workspace.root / "pipelines" / "variants" / f"{self.variant}_tuned.toml"

    @property
    def threads(self) -> int:
        """Of each worker: what there is, shared out."""
        mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
        there = int(os.environ.get("OMP_NUM_THREADS") or len(mine) or os.cpu_count() or 1)
        return max(1, there // self.jobs)

    def made_of(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "recipe": self.base.sections(),
            "space": self.space.dump(),
            "corpus": self.corpus.hash,
            "folds": {"name": self.folds.name, "hash": self.folds.hash},
            "objective": self.objective.name,
            "fold": self.fold,
            "seed": self.seeds[0],
        }

    def job(self, recipe: Path, fold: int, seed: int, runs: Path) -> Job:
        split, root = self.folds.name, str(self.workspace.root)
        return Job(root, str(recipe), split, fold, seed, str(runs), self.device)


def make_plan(
    workspace: Workspace,
    variant: str,
    settings: Sequence[str],
    *,
    space: str | None,
    objective: str,
    split: str | None,
    name: str | None,
    **rest: Any,
) -> Plan:
    """A plan with all of its parts found and checked, before anything is started."""
    path = workspace.variant(variant)
    base = read_recipe(path, settings)
    goal = find_objective(objective)
    searched = read_space(workspace.space(space or path.stem), base)
    corpus = corpus_of(workspace)
    folds = find_table(goal, workspace.folds, corpus, split)
    plan = Plan(
        workspace, path.stem, base, searched, goal, corpus, folds, name or path.stem, **rest
    )
    if not 0 <= plan.fold < folds.count:
        raise UsageError(f"--fold {plan.fold}: {folds.name} has folds 0 to {folds.count - 1}")
    return plan
