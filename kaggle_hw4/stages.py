"""The stages up to the logits, each from artifacts to an artifact; `submitting` has the rest.

A stage whose result is already there returns it. torch and its like are imported inside, so that
reading the board stays instant.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.errors import UsageError
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.data.packed import Packed
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training.loop import Monitor

Progress = Callable[[int, int], None]


def open_corpus(workspace: Workspace) -> "Packed":
    from kaggle_hw4.data.packed import open_packed

    return open_packed(workspace.packed)


def split(
    workspace: Workspace, by: str, count: int, seed: int, progress: Progress
) -> tuple["Folds", Path]:
    """Make the fold table, or find it made."""
    from kaggle_hw4.data.folds import make_folds, read_folds, table_name, write_folds

    packed = open_corpus(workspace)
    path = workspace.folds / f"{table_name(by, count, seed)}.csv"
    if path.is_file():
        return read_folds(path, packed), path
    folds = make_folds(packed, by, count, seed, progress)
    return folds, write_folds(workspace.folds, folds, packed)


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
    from kaggle_hw4.inference.precision import choose_device
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import Run
    from kaggle_hw4.training import loop

    path = workspace.variant(what.variant)
    recipe = read_recipe(path, what.settings)
    packed = open_corpus(workspace)
    folds = find_folds(workspace.folds, packed, what.split)
    reports = []
    for fold, seed in _fold_seeds(what, folds):
        inputs = [packed.hash, folds.hash]
        run = Run.of(what.runs or workspace.runs, path.stem, recipe, inputs, fold, seed)
        job = loop.Job(path.stem, recipe, packed, folds, fold, seed, run)
        reports.append(_report(run, loop.train(job, choose_device(device), monitor)))
    return reports


def _fold_seeds(what: Training, folds: "Folds") -> list[tuple[int, int]]:
    chosen = range(folds.count) if what.folds is None else what.folds
    for fold in chosen:
        if not 0 <= fold < folds.count:
            raise UsageError(f"--fold {fold}: {folds.name} has folds 0 to {folds.count - 1}")
    return [(fold, seed) for seed in what.seeds for fold in dict.fromkeys(chosen)]


def _report(run: "Run", manifest: dict[str, Any]) -> dict[str, Any]:
    return {"run": run.name, "folder": str(run.folder), **manifest}


def predict(
    workspace: Workspace, paths: Iterable[Path], settings: Sequence[str], device: str
) -> list[dict[str, Any]]:
    """Predict finished runs anew, each by its own recipe's plan with `settings` laid over it."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.inference.logits import predict_run
    from kaggle_hw4.inference.precision import choose_device
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import find_runs, finished

    for setting in settings:
        if not setting.startswith("predict."):
            raise UsageError(f"-s {setting}: only predict.* can change after the training")
    packed = open_corpus(workspace)
    reports = []
    for run in finished(find_runs(paths)):
        plan = read_recipe(run.folder / "recipe.toml", settings).predict
        folds = find_folds(workspace.folds, packed, run.manifest()["folds"]["name"])
        manifest = predict_run(run, packed, folds, plan, choose_device(device))
        reports.append(_report(run, manifest))
    return reports
