"""The pretraining of one variant on one fold from one seed: the loop is that of a training."""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kaggle_hw4.artifact import provenance, write_bytes
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.device import enough_memory
from kaggle_hw4.inference.weights import encoders_bytes
from kaggle_hw4.pretraining.batches import FrameBatch, FrameBatches
from kaggle_hw4.pretraining.codes import Counts
from kaggle_hw4.pretraining.counts import embed_codes
from kaggle_hw4.pretraining.model import Pretrainer, PretrainingNetwork, build_pretrainer
from kaggle_hw4.pretraining.recipe import CountsConfig, PretrainingRecipe
from kaggle_hw4.pretraining.run import ENCODERS, PretrainingManifest, PretrainingRun
from kaggle_hw4.progress import Monitor
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.training.checkpoint import TrainingState
from kaggle_hw4.training.graphs import Inputs
from kaggle_hw4.training.loop import take_steps
from kaggle_hw4.training.pacing import Pacer
from kaggle_hw4.training.start import SMALLER, resume
from kaggle_hw4.training.step import Step


class PretrainingStep(Step):
    """A step whose loss is the objective's."""

    figures: ClassVar = ("loss", "explained")

    def loss_of(self, network: nn.Module, inputs: Inputs) -> tuple[Tensor, Tensor]:
        *tensors, _ = inputs
        assert isinstance(network, PretrainingNetwork)
        batch = FrameBatch(*tensors)  # type: ignore[arg-type]
        loss, explained = self.state.model.outcome_of(network, batch).figures()
        return loss, explained

    def _margin(self) -> None:
        return None


def pretrain_run(
    run: PretrainingRun,
    recipe: PretrainingRecipe,
    corpus: Corpus,
    folds: Folds,
    device: torch.device,
    monitor: Monitor,
    precision: str = "auto",
) -> PretrainingManifest:
    """Train the encoders of `run`, or what is left of it, and return its manifest.

    Raises Stopped or Interrupted, with a checkpoint on the disk, when a signal asks for it.
    """
    if run.done:
        return run.manifest()
    with run.held():
        if run.done:  # by another process, just now
            return run.manifest()
        return _pretrain_held(run, recipe, corpus, folds, device, monitor, precision)


def _pretrain_held(
    run: PretrainingRun,
    recipe: PretrainingRecipe,
    corpus: Corpus,
    folds: Folds,
    device: torch.device,
    monitor: Monitor,
    precision: str,
) -> PretrainingManifest:
    # The frames, without their labels, and a fresh state or the checkpoint's.
    rows, held_out = rows_of(recipe, corpus, folds, run.fold), folds.validation(run.fold)
    store = FrameStore(corpus, device)
    state = start(run, recipe, store, rows, precision)
    batches = FrameBatches(store, rows, recipe, state.model.networks[0].objective, run.seed)
    run.write_recipe(recipe)

    # The steps.
    pacer = Pacer(None, state, recipe.schedule)
    monitor.begin(run.name, state.step, pacer.steps)
    step = PretrainingStep(state, recipe)
    take_steps(
        run, recipe, step, batches, lambda: validate(state, batches, held_out), pacer, monitor
    )

    # The encoders, and last of all the manifest.
    figures = validate(state, batches, held_out)
    manifest = PretrainingManifest(
        variant=run.variant,
        objective=recipe.pretraining.objective,
        transductive=recipe.pretraining.transductive,
        fold=run.fold,
        seed=run.seed,
        recipe=recipe.hash,
        corpus=corpus.hash,
        folds=FoldTable(name=folds.name, by=folds.by, count=folds.count, hash=folds.hash),
        utterances=len(rows),
        steps=state.step,
        seconds=round(state.seconds, 1),
        loss=figures["validation_loss"],
        explained=figures["validation_explained"],
        memory=state.memory,
        training=state.devices[-1],
        earlier=state.devices[:-1],
        sha256={ENCODERS: write_bytes(run.folder / ENCODERS, encoders_bytes(state.ema))},
        made_by=provenance(),
    )
    monitor.end(manifest.explained, manifest.seconds)
    return run.write_manifest(manifest)


def rows_of(recipe: PretrainingRecipe, corpus: Corpus, folds: Folds, fold: int) -> IntArray:
    """The rows whose frames are trained on: never those that the fold holds out."""
    training = folds.training(fold)
    return np.concatenate([training, corpus.test]) if recipe.pretraining.transductive else training


def start(
    run: PretrainingRun,
    recipe: PretrainingRecipe,
    store: FrameStore,
    rows: IntArray,
    precision: str = "auto",
) -> TrainingState[Pretrainer]:
    """A fresh state, or the one that the run's checkpoint holds."""
    torch.manual_seed(run.seed)
    with enough_memory(f"{run.name}: the model", SMALLER):
        model = build_pretrainer(recipe, store.corpus.n_mels).to(store.device)
    if not run.checkpoint.is_file() and isinstance(recipe.pretraining, CountsConfig):
        _embed_codes(model, embed_codes(store, rows, recipe.pretraining, run.seed))
    return resume(run, model, recipe, store.device, precision)


def _embed_codes(model: Pretrainer, tables: Iterable[np.ndarray]) -> None:
    """Give the codes and their embeddings to every network."""
    centres, embeddings = map(torch.from_numpy, tables)
    for network in model.networks:
        assert isinstance(network.objective, Counts)
        network.objective.centres.copy_(centres)
        network.objective.embeddings.copy_(embeddings)


@torch.no_grad()
def validate(
    state: TrainingState[Pretrainer], batches: FrameBatches, rows: IntArray
) -> dict[str, float]:
    """The figures of the EMA weights on segments of `rows`, the mean over networks."""
    model, sums, count = state.ema, torch.zeros(2), 0
    for batch in batches.held_out(rows):
        for network in model.networks:
            figures = model.outcome_of(network, batch).figures()
            sums += len(batch.features) * torch.stack(figures).cpu()
            count += len(batch.features)
    loss, explained = (sums / max(1, count)).tolist()
    return {"validation_loss": loss, "validation_explained": explained}
