"""From a variant and a fold table to encoders that were trained without labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.pretraining.run import PretrainingManifest, PretrainingRun
    from kaggle_hw4.progress import Monitor


@dataclass(frozen=True)
class PretrainingAsked:
    """What is to be pretrained; folds None: all. Without steps: a quarter of the variant's."""

    variant: str
    objective: str
    steps: int | None = None
    transductive: bool = False
    settings: Sequence[str] = ()
    split: str | None = None
    folds: Sequence[int] | None = (0,)
    seeds: Sequence[int] = (0,)
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class FinishedPretraining:
    """A pretraining, and what its manifest says."""

    run: "PretrainingRun"
    manifest: "PretrainingManifest"


def pretrain(
    workspace: Workspace, asked: PretrainingAsked, monitor: "Monitor"
) -> list[FinishedPretraining]:
    """Pretrain what is not pretrained yet, on every fold with every seed; return all of it."""
    # The recipe first: a misspelt name or key ends it at once.
    from kaggle_hw4.pretraining.recipe import read_pretraining_recipe

    path = workspace.variant(asked.variant)
    recipe = read_pretraining_recipe(
        path, asked.objective, asked.steps, asked.transductive, asked.settings
    )

    # The data.
    from kaggle_hw4.data.corpus import open_corpus
    from kaggle_hw4.data.folds import find_folds
    from kaggle_hw4.device import choose_device
    from kaggle_hw4.pretraining.loop import pretrain_run
    from kaggle_hw4.pretraining.run import PretrainingRun

    corpus = open_corpus(workspace.corpus, monitor.bar)
    folds = find_folds(workspace.folds, corpus, asked.split)
    chosen = range(folds.count) if asked.folds is None else asked.folds
    for fold in chosen:
        folds.check(fold)
    device = choose_device(asked.device)

    # One run after the other.
    finished, name = [], f"{Path(path).stem}-{asked.objective}"
    for seed, fold in product(dict.fromkeys(asked.seeds), chosen):
        inputs = [corpus.hash, folds.hash]
        run = PretrainingRun.of(workspace.runs, name, recipe, inputs, fold, seed)
        manifest = pretrain_run(run, recipe, corpus, folds, device, monitor, asked.precision)
        finished.append(FinishedPretraining(run, manifest))
    return finished
