"""What to tune, on what, and how much of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.tuning.objective import Objective, find_objective, find_table
from kaggle_hw4.tuning.space import Space, read_space
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
    def executor(self) -> Subprocesses:
        """What trains the trials and the finals."""
        return Subprocesses(self.jobs)

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

    def spec(self, recipe: Path, fold: int, seed: int, runs: Path) -> RunSpec:
        """The run of a recipe file; it goes below `runs`."""
        return RunSpec(
            workspace=str(self.workspace.root),
            variant=str(recipe),
            split=self.folds.name,
            fold=fold,
            seed=seed,
            device=self.device,
            runs=str(runs),
        )


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
    folds.check(plan.fold)
    return plan
