"""The training of one variant on one fold from one seed, top to bottom."""

import json
import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import filelock
import numpy as np
import safetensors.torch
import torch

from kaggle_hw4.artifact import provenance, verify, write_bytes, write_text
from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import DROPOUT, FrameStore, IntArray
from kaggle_hw4.device import autocast, describe_device, enough_memory
from kaggle_hw4.errors import RecipeError, UsageError
from kaggle_hw4.inference.logits import load_weights, write_predictions
from kaggle_hw4.inference.predict import WHOLE, predict_logits
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.signals import listen
from kaggle_hw4.training.checkpoint import State, load_checkpoint, save_checkpoint
from kaggle_hw4.training.loss import batch_loss
from kaggle_hw4.training.optimizer import learning_rate, make_optimizer, update_ema

REPORT_EVERY = 25  # steps
CHECKPOINT_EVERY = 60.0  # seconds


class Monitor(Protocol):
    """Who is told how a training goes."""

    def begin(self, name: str, done: int, total: int) -> None: ...
    def report(self, step: int, figures: dict[str, float]) -> None: ...


@dataclass(frozen=True)
class Job:
    """What to train, on what; `run` is where it goes."""

    variant: str
    recipe: Recipe
    corpus: Corpus
    folds: Folds
    fold: int
    seed: int
    run: Run


def train(job: Job, device: torch.device, monitor: Monitor) -> dict[str, Any]:
    """Train `job`, or what is left of it, and return the manifest of its run.

    Raises Stopped or Interrupted, with a checkpoint on the disk, when a signal asks for it.
    """
    if job.run.done:
        return job.run.manifest()
    job.run.folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(job.run.folder / ".lock", timeout=0):
            return _train(job, device, monitor)
    except filelock.Timeout:
        raise UsageError(f"{job.run.name} is being trained by another process") from None


def _train(job: Job, device: torch.device, monitor: Monitor) -> dict[str, Any]:
    recipe, run, schedule = job.recipe, job.run, job.recipe.schedule
    store = FrameStore(job.corpus, device)
    rows, validation = job.folds.training(job.fold), job.folds.validation(job.fold)
    batches = Batches(store, rows, job.folds.session, recipe, job.seed)
    state = start(job, device)
    run.write_recipe(recipe)
    monitor.begin(run.name, state.step, schedule.steps)
    clock = saved = time.monotonic()

    with listen() as stop:
        while state.step < schedule.steps:
            with enough_memory(f"{run.name}: a step", "lower segments.batch_size"):
                train_step(state, batches)
            last = state.step == schedule.steps
            validated = state.step % schedule.validate_every == 0 or last
            if validated or state.step % REPORT_EVERY == 0:
                figures = _figures(job, state)
                if validated:
                    figures |= validate(state, store, validation, run)
                state.seconds, clock = _lap(state.seconds, clock)
                _log(run, {"step": state.step, **figures, "seconds": round(state.seconds, 3)})
                monitor.report(state.step, figures)
            if stop.signal or validated or time.monotonic() - saved > CHECKPOINT_EVERY:
                state.seconds, clock = _lap(state.seconds, clock)
                save_checkpoint(run.checkpoint, state)
                saved = time.monotonic()
            if stop.signal and not last:
                raise stop.error(run.name, state.step)

    return finish(job, state, store)


def start(job: Job, device: torch.device) -> State:
    """A fresh state, or the one that the run's checkpoint holds."""
    torch.manual_seed(job.seed)
    # Drawn on the CPU, so that a seed means the same weights on every device.
    model = build_model(job.recipe, len(job.corpus.speakers), job.corpus.n_mels).to(device)
    state = State.start(model, make_optimizer(model, job.recipe.optimizer), device)
    if job.run.checkpoint.is_file():
        load_checkpoint(job.run.checkpoint, state, device)
    _cut_log(job.run, state.step)
    return state


def train_step(state: State, batches: Batches) -> None:
    """One step; all that is random in it is a function of (seed, step)."""
    step, recipe = state.step, batches.recipe
    seeds = np.random.SeedSequence([batches.seed, DROPOUT, step])
    torch.manual_seed(int(seeds.generate_state(1)[0]))  # for dropout, and the grain of noise
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(step, recipe.optimizer, recipe.schedule)

    batch = batches.at(step)
    state.model.train()
    with autocast(batches.store.device):
        logits = state.model(batch.features, batch.mask)  # (networks, B, C)
    losses = torch.stack([batch_loss(own, batch, recipe, step) for own in logits])
    state.optimizer.zero_grad(set_to_none=True)
    losses.sum().backward()  # type: ignore[no-untyped-call]
    if recipe.optimizer.clip_norm:
        for network in state.model.networks:
            torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimizer.clip_norm)
    state.optimizer.step()
    update_ema(state.ema, state.model, recipe.optimizer.ema_decay, step)

    state.step += 1
    # Summed on the device: nothing waits for it until a report is due.
    right = (logits.argmax(-1) == batch.labels).float().mean()
    state.since_report += torch.stack([losses.detach().mean(), right])
    state.steps_since_report += 1


def validate(state: State, store: FrameStore, rows: IntArray, run: Run) -> dict[str, float]:
    """Accuracy of the averaged weights on whole validation utterances; the best ones are kept."""
    logits = predict_logits(state.ema, store, rows, WHOLE)
    found = evaluate(logits, store.corpus.labels[rows])
    if found["accuracy"] > state.best:
        state.best = found["accuracy"]
        state.best_sha256 = _write_weights(run, "best", state)
    return {"validation_accuracy": found["accuracy"], "validation_loss": found["loss"]}


def finish(job: Job, state: State, store: FrameStore) -> dict[str, Any]:
    """Write the averaged weights, the logits and, last of all, the manifest."""
    run, plan = job.run, job.recipe.predict
    verify(run.folder / "best.safetensors", state.best_sha256, run.remedy)
    ema_sha256 = _write_weights(run, "ema", state)
    load_weights(state.ema, run.folder / f"{plan.weights}.safetensors")
    said = write_predictions(run, state.ema, store, job.folds, job.fold, plan)
    weights = {
        "best.safetensors": state.best_sha256,
        "ema.safetensors": ema_sha256,
    }
    manifest = {
        "variant": job.variant,
        "fold": job.fold,
        "seed": job.seed,
        "recipe": job.recipe.hash,
        "corpus": job.corpus.hash,
        "folds": {k: getattr(job.folds, k) for k in ("name", "by", "count", "hash")},
        "parameters": count_parameters(state.model),
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "best_while_training": state.best,
        **describe_device(store.device),
        **said,
        "sha256": said["sha256"] | weights,
        "made_by": provenance(),
    }
    run.write_manifest(manifest)
    return manifest


def _write_weights(run: Run, name: str, state: State) -> str:
    tensors = {k: v.cpu().contiguous() for k, v in state.ema.state_dict().items()}
    return write_bytes(run.folder / f"{name}.safetensors", safetensors.torch.save(tensors))


def _figures(job: Job, state: State) -> dict[str, float]:
    """Means since the last report, which they begin anew."""
    loss, accuracy = (state.since_report / state.steps_since_report).tolist()
    if not math.isfinite(loss):
        raise RecipeError(
            f"{job.run.name}: the loss is {loss} at step {state.step}: the training diverged",
            "lower optimizer.learning_rate, or set optimizer.clip_norm = 1.0",
        )
    state.since_report = torch.zeros_like(state.since_report)
    state.steps_since_report = 0
    rate = learning_rate(state.step, job.recipe.optimizer, job.recipe.schedule)
    return {"loss": loss, "accuracy": accuracy, "learning_rate": rate}


def _lap(seconds: float, since: float) -> tuple[float, float]:
    now = time.monotonic()
    return seconds + now - since, now


def _log(run: Run, line: dict[str, Any]) -> None:
    with run.metrics.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _cut_log(run: Run, step: int) -> None:
    """Drop the lines that a killed training wrote after its last checkpoint."""
    if not run.metrics.is_file():
        return
    kept = []
    for line in run.metrics.read_text(errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, TypeError, KeyError):  # torn by the kill
            break
    write_text(run.metrics, "".join(kept))
