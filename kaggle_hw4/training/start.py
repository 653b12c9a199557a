"""What a training begins from: fresh weights, pretrained encoders, or its own checkpoint."""

from pathlib import Path
from typing import Any

import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.device import enough_memory, memory_limit
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.inference.logits import device_of
from kaggle_hw4.inference.weights import initialise_encoders
from kaggle_hw4.models.build import build_model, parameters_of
from kaggle_hw4.precision import can_compute, choose_precision, make_scaler
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run, RunFolder
from kaggle_hw4.training.checkpoint import M, State, TrainingState, load_checkpoint
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.training.sources import NOTHING, Sources

STATES = 5  # copies of the weights in memory: themselves, gradient, AdamW's two, EMA
SMALLER = "choose fewer or narrower layers or networks"


def start(
    run: Run,
    recipe: Recipe,
    corpus: Corpus,
    device: torch.device,
    precision: str = "auto",
    sources: Sources = NOTHING,
    ranks: Ranks = ALONE,
) -> State:
    """A fresh state, or the one that the run's checkpoint holds."""
    # A machine short of memory slows down to a halt, and kills what it likes, before it says no.
    needed = STATES * 4 * parameters_of(recipe, len(corpus.speakers), corpus.n_mels)
    if needed > memory_limit():
        figures = f"{needed / 1e9:.1f} GB, and this machine has {memory_limit() / 1e9:.1f} GB"
        raise RecipeError(f"{run.name}: its weights and their averages need {figures}", SMALLER)
    torch.manual_seed(run.seed)
    # Drawn on the CPU, so that a seed means the same weights on every device.
    with enough_memory(f"{run.name}: the model", SMALLER):
        model = build_model(recipe, len(corpus.speakers), corpus.n_mels)
        if sources.encoders:
            initialise_encoders(model, sources.encoders.path)
        return resume(run, model.to(device), recipe, device, precision, ranks)


def resume(
    run: RunFolder,
    model: M,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    ranks: Ranks = ALONE,
) -> TrainingState[M]:
    """The state before the first step of `model`, or the one that the run's checkpoint holds."""
    state = TrainingState.start(model, make_optimizer(model, recipe.optimizer), device)
    if ranks.count > 1:  # hosts need not share a disk
        if data := ranks.from_first(lambda: _bytes(run.checkpoint)):
            load_checkpoint(run.checkpoint, state, device, data)
        if not ranks.is_first:
            state.since_report.zero_()  # the sums over all ranks are the first one's
    elif run.checkpoint.is_file():
        load_checkpoint(run.checkpoint, state, device)
    compute_in(state, precision, device, ranks)
    if ranks.is_first:
        run.cut_log(state.step)
    return state


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def compute_in(
    state: TrainingState[Any], precision: str, device: torch.device, ranks: Ranks = ALONE
) -> None:
    """Settle the precision: the one asked for now, else what the run was begun with."""
    if precision == "auto":
        precision = state.precision if can_compute(state.precision, device) else "auto"
    state.precision = precision
    # Where it is measured, the first rank's measurement decides.
    chosen = ranks.from_first(lambda: choose_precision(precision, device).encode()).decode()
    state.model.precision = state.ema.precision = chosen
    if state.scaler.is_enabled() != (chosen == "fp16"):
        state.scaler = make_scaler(device, chosen)
    here = device_of(device, chosen)
    if state.devices[-1:] != (here,):
        state.devices += (here,)
