"""The training of one variant on one fold from one seed, top to bottom."""

import math
import time
from collections.abc import Callable
from typing import Protocol

import torch

from kaggle_hw4.artifact import provenance, write_bytes
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.device import enough_memory, peak_memory
from kaggle_hw4.errors import RecipeError, UsageError
from kaggle_hw4.inference.logits import write_predictions
from kaggle_hw4.inference.predict import WHOLE, predict_logits
from kaggle_hw4.inference.weights import read_weights, weights_bytes
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import count_parameters
from kaggle_hw4.progress import Bar, Monitor, Progress, no_bar
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.run_manifest import FoldTable, Manifest
from kaggle_hw4.runs import Run, RunFolder
from kaggle_hw4.signals import StopRequest, graceful_shutdown
from kaggle_hw4.training.checkpoint import (
    State,
    save_checkpoint,
)
from kaggle_hw4.training.optimizer import learning_rate
from kaggle_hw4.training.pacing import Limit, Pacer
from kaggle_hw4.training.sources import NOTHING, Sources, make_batches
from kaggle_hw4.training.start import start
from kaggle_hw4.training.step import Step, seed_step

REPORT_EVERY = 25  # steps
CHECKPOINT_EVERY = 60.0  # seconds


def train_run(
    run: Run,
    recipe: Recipe,
    corpus: Corpus,
    folds: Folds,
    device: torch.device,
    monitor: Monitor,
    precision: str = "auto",
    limit: Limit | None = None,
    sources: Sources = NOTHING,
) -> Manifest:
    """Train `run`, or what is left of it, and return its manifest.

    A run that was begun in a `precision` keeps it, where "auto" is asked for now. With a `limit`
    its schedule is stretched or shortened so that its predictions are written within that time.
    `sources` are what the optional sections of the recipe name.
    Raises Stopped or Interrupted, with a checkpoint on the disk, when a signal asks for it.
    """
    if run.done:
        return run.manifest()
    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(run.lock, timeout=0):
            return _train_locked(
                run, recipe, corpus, folds, device, monitor, precision, limit, sources
            )
    except Timeout as error:
        raise UsageError(f"{run.name} is being trained by another process") from error


def _train_locked(
    run: Run,
    recipe: Recipe,
    corpus: Corpus,
    folds: Folds,
    device: torch.device,
    monitor: Monitor,
    precision: str,
    limit: Limit | None,
    sources: Sources,
) -> Manifest:
    # The data, and a fresh state or the checkpoint's.
    store = FrameStore(corpus, device)
    batches = make_batches(store, folds, recipe, run, sources)
    state = start(run, recipe, corpus, device, precision, sources)
    run.write_recipe(recipe)

    # The steps that are left of the schedule, which a limit stretches or shortens.
    pacer = Pacer(limit, state, recipe.schedule)
    monitor.begin(run.name, state.step, pacer.steps)
    if state.step and len(state.devices) > 1:
        monitor.note(f"trains on {state.devices[-1]}; before, on {state.devices[-2]}")
    validation = folds.validation(run.fold)
    take_steps(
        run,
        recipe,
        Step(state, recipe),
        batches,
        lambda: validate(state, store, validation, monitor.bar),
        pacer,
        monitor,
    )

    # The predictions: the checkpoint is written, so a signal ends them at once.
    with graceful_shutdown() as request:
        bar = ending_on(request, run.name, monitor.bar)
        manifest = finish(run, recipe, state, store, folds, bar, sources)
    monitor.end(manifest.validation.accuracy, manifest.seconds)
    return manifest


class AnyBatches(Protocol):
    """The batches of a training, with labels or without."""

    def at(self, step: int, place: float | None = None) -> object:
        """The batch of `step`, a dataclass of tensors."""


def take_steps(
    run: RunFolder,
    recipe: Recipe,
    take_step: Step,
    batches: AnyBatches,
    validate: Callable[[], dict[str, float]],
    pacer: Pacer,
    monitor: Monitor,
) -> None:
    """The training itself, from the state of `take_step` on; `validate` returns figures."""
    state = take_step.state
    clock = saved = time.monotonic()
    first, patience = state.step + 1, pacer.between_checkpoints(CHECKPOINT_EVERY)

    with graceful_shutdown() as request:
        while state.step < pacer.steps:
            # A step; all that is random in it is a function of (seed, step).
            with enough_memory(f"{run.name}: a step", "lower segments.batch_size"):
                seed_step(state, run.seed)
                take_step(batches.at(state.step, state.place))
            monitor.advance(state.step)
            if state.step == first:  # so that something is seen at once
                monitor.report(first, _means(run, take_step))

            # With a limit: when it will end, by the time that steps have taken lately.
            if pacer.is_due():
                state.seconds, clock = _lap(state.seconds, clock)
                pacer.replan()
                monitor.replan(pacer.steps)

            # Validation, and a line of figures.
            validated = pacer.is_validation_due()
            if validated or state.step % REPORT_EVERY == 0:
                figures = _figures(run, recipe, take_step)
                if validated:
                    with pacer.validating():
                        figures |= validate()
                state.seconds, clock = _lap(state.seconds, clock)
                stretched = {"steps": pacer.steps} if state.timeline.breakpoints else {}
                seconds = round(state.seconds, 3)
                run.log({"step": state.step, **stretched, **figures, "seconds": seconds})
                monitor.report(state.step, figures)

            # A checkpoint, and the end where a signal asked for it.
            if request.signal or validated or time.monotonic() - saved > patience:
                state.seconds, clock = _lap(state.seconds, clock)
                state.memory = max(state.memory, peak_memory(take_step.device))
                save_checkpoint(run.checkpoint, state)
                saved = time.monotonic()
            if request.signal and state.step < pacer.steps:
                where = f"stopped after step {state.step}, checkpoint written"
                raise request.error(f"{run.name}: {where}")


def validate(
    state: State, store: FrameStore, rows: IntArray, bar: Bar = no_bar
) -> dict[str, float]:
    """Accuracy of the EMA weights on whole validation utterances; the best ones are kept."""
    logits = predict_logits(state.ema, store, rows, WHOLE, bar=bar)
    validation = evaluate(logits, store.corpus.labels[rows])
    if validation.accuracy > state.best:
        state.best = validation.accuracy
        state.best_weights = weights_bytes(state.ema)
    return {"validation_accuracy": validation.accuracy, "validation_loss": validation.loss}


def ending_on(request: StopRequest, name: str, bar: Bar) -> Bar:
    """`bar`, whose stages end where they are when a signal has asked for it."""

    def stage(what: str) -> Progress:
        progress = bar(what)

        def show(done: int, total: int | None) -> None:
            if request.signal:
                raise request.error(f"{name}: stopped in its {what}")
            progress(done, total)

        return show

    return stage


def finish(
    run: Run,
    recipe: Recipe,
    state: State,
    store: FrameStore,
    folds: Folds,
    bar: Bar = no_bar,
    sources: Sources = NOTHING,
) -> Manifest:
    """Write the best and the last EMA weights, the logits and, last of all, the manifest."""
    best_sha256 = write_bytes(run.folder / "best.safetensors", state.best_weights)
    ema_sha256 = write_bytes(run.folder / "ema.safetensors", weights_bytes(state.ema))
    read_weights(run.folder / f"{recipe.predict.weights}.safetensors", state.ema)
    written = write_predictions(run, state.ema, store, folds, recipe.predict, bar)
    weights = {"best.safetensors": best_sha256, "ema.safetensors": ema_sha256}
    manifest = Manifest(
        variant=run.variant,
        fold=run.fold,
        seed=run.seed,
        recipe=recipe.hash,
        corpus=store.corpus.hash,
        folds=FoldTable(name=folds.name, by=folds.by, count=folds.count, hash=folds.hash),
        parameters=count_parameters(state.model),
        steps=state.step,
        breakpoints=state.timeline.breakpoints,
        seconds=round(state.seconds, 1),
        best_while_training=state.best,
        memory=state.memory,
        training=state.devices[-1],
        earlier=state.devices[:-1],
        prediction=written.prediction,
        validation=written.validation,
        seen_session=written.seen_session,
        sha256=written.sha256 | weights,
        made_by=provenance(),
        learned_from=sources.record(),
    )
    return run.write_manifest(manifest)


def _figures(run: RunFolder, recipe: Recipe, take_step: Step) -> dict[str, float]:
    """Means since the last report, which they begin anew."""
    means, state = _means(run, take_step), take_step.state
    state.since_report.zero_()
    state.steps_since_report = 0
    rate = learning_rate(state.place, recipe.optimizer, recipe.schedule)
    return means | {"learning_rate": rate}


def _means(run: RunFolder, take_step: Step) -> dict[str, float]:
    """Means since the last report; RecipeError where the training has diverged."""
    state = take_step.state
    loss, figure = (state.since_report / state.steps_since_report).tolist()
    if not math.isfinite(loss):
        raise RecipeError(
            f"{run.name}: the loss is {loss} at step {state.step}: the training diverged",
            "lower optimizer.learning_rate, or set optimizer.clip_norm = 1.0",
        )
    return dict(zip(take_step.figures, (loss, figure), strict=True))


def _lap(seconds: float, since: float) -> tuple[float, float]:
    now = time.monotonic()
    return seconds + now - since, now
