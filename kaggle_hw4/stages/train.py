"""From a variant and a fold table to runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.errors import UsageError
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training.loop import Monitor


@dataclass(frozen=True)
class Training:
    """Which runs to train: every fold with every seed. `folds` None is all of them.

    `runs` is where they go, if not to the workspace's own.
    """

    variant: str
    settings: Sequence[str] = ()
    split: str | None = None
    folds: Sequence[int] | None = None
    seeds: Sequence[int] = (0,)
    runs: Path | None = None


def train(
    workspace: Workspace, what: Training, device: str, monitor: "Monitor"
) -> list[dict[str, Any]]:
    """Train what is not trained yet; return a report of every run, in order."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training import loop

    path = workspace.variant(what.variant)
    recipe = read_recipe(path, what.settings)
    corpus = corpus_of(workspace)
    folds = find_folds(workspace.folds, corpus, what.split)
    reports = []
    for fold, seed in _fold_seeds(what, folds):
        inputs = [corpus.hash, folds.hash]
        run = Run.of(what.runs or workspace.runs, path.stem, recipe, inputs, fold, seed)
        job = loop.Job(path.stem, recipe, corpus, folds, fold, seed, run)
        reports.append(report_of(run, loop.train(job, choose_device(device), monitor)))
    return reports


def _fold_seeds(what: Training, folds: "Folds") -> list[tuple[int, int]]:
    chosen = range(folds.count) if what.folds is None else what.folds
    for fold in chosen:
        if not 0 <= fold < folds.count:
            raise UsageError(f"--fold {fold}: {folds.name} has folds 0 to {folds.count - 1}")
    return [(fold, seed) for seed in what.seeds for fold in dict.fromkeys(chosen)]


def report_of(run: "Run", manifest: dict[str, Any]) -> dict[str, Any]:
    return {"run": run.name, "folder": str(run.folder), **manifest}
