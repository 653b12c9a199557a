"""From finished runs to their logits, averaged in another way."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.stages.train import FinishedRun
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.inference.logits import Task
    from kaggle_hw4.runs import Run


def predict(
    workspace: Workspace,
    paths: Iterable[Path],
    settings: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    bar: Bar = no_bar,
    left_out: Callable[[str], object] = lambda _: None,
) -> list[FinishedRun]:
    """Predict finished runs anew, each as its own recipe says with `settings` laid over it; those
    that share rows and segments in one pass.

    `left_out(name)` is called for each run that is not finished. Raises DataError, before anything
    is predicted, that names a run which cannot be.
    """
    from kaggle_hw4.data.segments import FrameStore
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.inference.logits import predict_runs
    from kaggle_hw4.precision import choose_precision
    from kaggle_hw4.runs import find_runs, finished

    for setting in settings:
        if not setting.startswith("predict."):
            raise UsageError(f"{setting}: after the training only predict.* can change")
    where = choose_device(device)
    chosen = choose_precision(precision, where)
    corpus = corpus_of(workspace, bar)
    runs = find_runs(paths)
    for run in runs:
        if not run.done:
            left_out(run.name)

    runs = finished(runs)
    tasks = _tasks(workspace, corpus, runs, settings)
    store = FrameStore(corpus, where)  # the frames are put on a card once for all runs
    manifests = predict_runs(tasks, store, chosen, bar)
    return [FinishedRun(run, manifest) for run, manifest in zip(runs, manifests, strict=True)]


def _tasks(
    workspace: Workspace, corpus: "Corpus", runs: "Iterable[Run]", settings: Sequence[str]
) -> "list[Task]":
    """What to predict of each run; DataError names one whose fold table is missing or damaged."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.inference.logits import Task
    from kaggle_hw4.recipe import read_recipe

    tables: dict[str, Folds] = {}  # each is read once
    tasks = []
    for run in runs:
        name = run.manifest().folds.name
        try:
            folds = tables[name] = tables.get(name) or find_folds(workspace.folds, corpus, name)
        except (UsageError, DataError) as error:
            what = f"{run.name} was trained on {name}: {error.what}"
            raise DataError(what, error.then) from error
        tasks.append(Task(run, folds, read_recipe(run.folder / "recipe.toml", settings).predict))
    return tasks
