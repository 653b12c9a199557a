"""From finished runs to their logits, averaged in another way."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kaggle_hw4.errors import UsageError
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.stages.train import FinishedRun
from kaggle_hw4.workspace import Workspace


def predict(
    workspace: Workspace,
    paths: Iterable[Path],
    settings: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    bar: Bar = no_bar,
    left_out: Callable[[str], object] = lambda _: None,
) -> list[FinishedRun]:
    """Predict finished runs anew, each as its own recipe says with `settings` laid over it.

    `left_out(name)` is called for each run that is not finished.
    """
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.data.segments import FrameStore
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.inference.logits import predict_run
    from kaggle_hw4.precision import choose_precision
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.runs import find_runs, finished

    for setting in settings:
        if not setting.startswith("predict."):
            raise UsageError(f"{setting}: after the training only predict.* can change")
    where = choose_device(device)
    chosen = choose_precision(precision, where)
    corpus = corpus_of(workspace)
    store = FrameStore(corpus, where)  # the frames are put on a card once for all runs
    runs, predicted = find_runs(paths), []
    for run in runs:
        if not run.done:
            left_out(run.name)
    for run in finished(runs):
        folds = find_folds(workspace.folds, corpus, run.manifest().folds.name)
        config = read_recipe(run.folder / "recipe.toml", settings).predict
        manifest = predict_run(run, store, folds, config, chosen, bar)
        predicted.append(FinishedRun(run, manifest))
    return predicted
