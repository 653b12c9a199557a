"""Everything that a study is run with: the variant, its space, the data, and how much of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.placement import HERE, Placement
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.tuning.fingerprint import Fingerprint
from kaggle_hw4.tuning.objective import Objective, find_fold_table, find_objective
from kaggle_hw4.tuning.space import Space, read_space
from kaggle_hw4.workspace import Workspace

STUDY_NAME = r"[^\W_][\w+. -]{0,99}"
SPACES = "spaces"  # the folder beside the studies'


class Effort(TypedDict, total=False):
    """The parts of a plan that have a default; `Plan` explains them."""

    fold: int
    seeds: Sequence[int]
    trials: int
    finalists: int
    placement: Placement
    device: str
    precision: str


@dataclass(frozen=True)
class Plan:
    workspace: Workspace
    variant: str
    baseline: Recipe  # the variant as it is
    space: Space
    objective: Objective
    corpus: Corpus
    folds: Folds
    name: str  # of the study
    fold: int = 0  # the search validates on it
    seeds: Sequence[int] = (0,)  # of the finals; the search uses the first
    trials: int = 50  # in all
    finalists: int = 3  # the best trials that are retrained
    placement: Placement = HERE  # where trials and finals are trained
    device: str = "auto"
    precision: str = "auto"

    @property
    def folder(self) -> Path:
        return self.workspace.studies / self.name

    @property
    def runs(self) -> Path:
        """Where the finals are trained: not among the workspace's runs, all of which are blended
        by whoever asks for an ensemble of `runs/*`.
        """
        return self.folder / "runs"

    @property
    def tuned(self) -> Path:
        """Where the winner is written."""
        return self.workspace.root / "pipelines" / "variants" / f"{self.variant}_tuned.toml"

    @property
    def jobs(self) -> int:
        """Runs at a time."""
        return self.placement.jobs or 1

    def fingerprint(self) -> Fingerprint:
        folds = self.folds
        return Fingerprint(
            variant=self.variant,
            recipe=self.baseline.written_sections(),
            space=dict(self.space.parameters),
            corpus=self.corpus.hash,
            folds=FoldTable(name=folds.name, by=folds.by, count=folds.count, hash=folds.hash),
            objective=self.objective.name,
            fold=self.fold,
            seed=self.seeds[0],
        )

    def spec(self, recipe: Path, fold: int, seed: int, runs: Path) -> RunSpec:
        """The run of a recipe file; its folder is made below `runs`."""
        return RunSpec(
            workspace=str(self.workspace.root),
            variant=str(recipe),
            split=self.folds.name,
            fold=fold,
            seed=seed,
            device=self.device,
            precision=self.precision,
            runs=str(runs),
        )


def check_study_name(name: str) -> str:
    """`name`, which is also that of a folder; UsageError where it is a path or no plain name, or
    that of the folder of search spaces.
    """
    if not re.fullmatch(STUDY_NAME, name):
        raise UsageError(
            f"{name!r} cannot name a study",
            "it takes letters, digits, spaces and + - _ . and starts with a letter or a digit",
            parameter="study",
        )
    if name.casefold() == SPACES:
        what = f"studies/{name} holds the search spaces"
        raise UsageError(what, "choose another name", parameter="study")
    return name


def make_plan(
    workspace: Workspace,
    variant: str,
    settings: Sequence[str],
    *,
    space: str | None,
    objective: str,
    split: str | None,
    name: str | None,
    bar: Bar = no_bar,
    **effort: Unpack[Effort],
) -> Plan:
    """A plan whose parts are all found and checked, before anything is started.

    `settings` are `section.key=value` laid over the variant. A space or study without a name is
    called as the variant is; `bar(name)` makes the progress of the corpus's check. Raises
    UsageError, RecipeError or DataError where a part is missing.
    """
    path = workspace.variant(variant)
    baseline = read_recipe(path, settings)
    target = find_objective(objective)
    searched = read_space(workspace.space(space or path.stem), baseline)
    corpus = corpus_of(workspace, bar)
    folds = find_fold_table(target, workspace.folds, corpus, split)
    study = check_study_name(name or path.stem)
    plan = Plan(workspace, path.stem, baseline, searched, target, corpus, folds, study, **effort)
    folds.check(plan.fold)
    return plan
