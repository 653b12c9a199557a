"""From finished runs to their logits, under another plan of averaging."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kaggle_hw4.errors import UsageError
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.stages.train import report_of
from kaggle_hw4.workspace import Workspace


def predict(
    workspace: Workspace, paths: Iterable[Path], settings: Sequence[str], device: str
) -> list[dict[str, Any]]:
    """Predict finished runs anew, each by its own recipe's plan with `settings` laid over it."""
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.inference.logits import predict_run
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import find_runs, finished

    for setting in settings:
        if not setting.startswith("predict."):
            raise UsageError(f"-s {setting}: only predict.* can change after the training")
    corpus = corpus_of(workspace)
    reports = []
    for run in finished(find_runs(paths)):
        plan = read_recipe(run.folder / "recipe.toml", settings).predict
        folds = find_folds(workspace.folds, corpus, run.manifest()["folds"]["name"])
        manifest = predict_run(run, corpus, folds, plan, choose_device(device))
        reports.append(report_of(run, manifest))
    return reports
