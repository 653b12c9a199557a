"""The training of one variant on one fold from one seed, top to bottom."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol

import torch

from kaggle_hw4.artifact import provenance, write_bytes
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.device import enough_memory, peak_memory
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.logits import write_predictions
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import load_weights, weights_bytes
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import count_parameters
from kaggle_hw4.progress import Bar, Monitor, Progress, no_bar
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.run_manifest import FoldTable, Manifest
from kaggle_hw4.runs import Run, RunFolder
from kaggle_hw4.signals import StopRequest, graceful_shutdown
from kaggle_hw4.training.checkpoint import State, save_checkpoint
from kaggle_hw4.training.memory import keep_freed_memory
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
    ranks: Ranks = ALONE,
) -> Manifest:
    """Train `run`, or what is left of it, and return its manifest.

    A run that was begun in a `precision` keeps it, where "auto" is asked for now. With a `limit`
    its schedule is stretched or shortened so that its predictions are written within that time.
    `sources` are what the optional sections of the recipe name. With several `ranks` all of them
    call this, and the first one alone writes.
    Raises Stopped or Interrupted, with a checkpoint on the disk, when a signal asks for it.
    """
    ranks.check_same(run.name)
    if _is_done(ranks, run):
        return _on_all(ranks, run.manifest)
    with run.held() if ranks.is_first else nullcontext():
        if _is_done(ranks, run):  # by another process, just now
            return _on_all(ranks, run.manifest)
        return _train_held(
            run, recipe, corpus, folds, device, monitor, precision, limit, sources, ranks
        )


def _is_done(ranks: Ranks, run: Run) -> bool:
    return bool(ranks.from_first(lambda: bytes(run.done)))


def _train_held(
    run: Run,
    recipe: Recipe,
    corpus: Corpus,
    folds: Folds,
    device: torch.device,
    monitor: Monitor,
    precision: str,
    limit: Limit | None,
    sources: Sources,
    ranks: Ranks,
) -> Manifest:
    # The data, and a fresh state or the checkpoint's.
    store = FrameStore(corpus, device)
    batches = make_batches(store, folds, recipe, run, sources)
    state = start(run, recipe, corpus, device, precision, sources, ranks)
    if ranks.is_first:
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
        Step(state, recipe, ranks=ranks),
        batches,
        lambda: validate(state, store, validation, monitor.bar, ranks),
        pacer,
        monitor,
    )

    # The predictions: the checkpoint is written, so a signal ends them at once.
    with graceful_shutdown() as request:
        bar = ending_on(request, run.name, monitor.bar)
        manifest = finish(run, recipe, state, store, folds, bar, sources, ranks)
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
    keep_freed_memory()
    state, ranks = take_step.state, take_step.ranks
    clock = saved = time.monotonic()
    first, patience = state.step + 1, pacer.between_checkpoints(CHECKPOINT_EVERY)

    with graceful_shutdown() as request:
        while state.step < pacer.steps:
            # A step; all that is random in it is a function of (seed, step).
            with enough_memory(f"{run.name}: a step", "lower segments.batch_size"):
                seed_step(state, run.seed)
                take_step(ranks.own(batches.at(state.step, state.place)))
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
                if ranks.is_first:
                    run.log({"step": state.step, **stretched, **figures, "seconds": seconds})
                monitor.report(state.step, figures)

            # A checkpoint, and the end where a signal asked for it: on all ranks after this step.
            late = time.monotonic() - saved > patience
            number, due = ranks.agree(request.signal, validated or late)
            if number or due:
                state.seconds, clock = _lap(state.seconds, clock)
                _save(run, take_step)
                saved = time.monotonic()
            if number:
                ranks.wait()
                request.signal = number  # also on those ranks that it was not sent to
            if number and state.step < pacer.steps:
                where = f"stopped after step {state.step}, checkpoint written"
                raise request.error(f"{run.name}: {where}")


def _save(run: RunFolder, take_step: Step) -> None:
    """Write the checkpoint; on several ranks, with the sums of all of them."""
    state, ranks = take_step.state, take_step.ranks
    state.memory = max(state.memory, peak_memory(take_step.device))
    state.since_report = ranks.move_to_first(state.since_report)
    if ranks.is_first:
        save_checkpoint(run.checkpoint, state)


def validate(
    state: State, store: FrameStore, rows: IntArray, bar: Bar = no_bar, ranks: Ranks = ALONE
) -> dict[str, float]:
    """Accuracy of the EMA weights on whole validation utterances; the best ones are kept."""
    logits = predict_logits(state.ema, store, rows, WHOLE, bar=bar, ranks=ranks)
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
    ranks: Ranks = ALONE,
) -> Manifest:
    """Write the best and the last EMA weights, the logits and, last of all, the manifest."""
    data = {"best": state.best_weights, "ema": weights_bytes(state.ema)}
    files = {f"{name}.safetensors": each for name, each in data.items()}
    if ranks.is_first:
        weights = {name: write_bytes(run.folder / name, each) for name, each in files.items()}
    load_weights(data[recipe.predict.weights], state.ema)
    written = write_predictions(run, state.ema, store, folds, recipe.predict, bar, ranks)
    if written is None:
        return _on_all(ranks, run.manifest)
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
        fusion=written.fusion,
        validation=written.validation,
        seen_session=written.seen_session,
        sha256=written.sha256 | weights,
        made_by=provenance(),
        learned_from=sources.record(),
    )
    return _on_all(ranks, lambda: run.write_manifest(manifest))


def _on_all(ranks: Ranks, make: Callable[[], Manifest]) -> Manifest:
    """The manifest that `make` returns on the first rank: hosts need not share a disk."""
    if ranks.count == 1:
        return make()
    text = ranks.from_first(lambda: make().model_dump_json().encode())
    return Manifest.model_validate_json(text)


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
    [sums] = take_step.ranks.total([state.since_report])
    loss, figure = (sums / state.steps_since_report).tolist()
    if not math.isfinite(loss):
        raise RecipeError(
            f"{run.name}: the loss is {loss} at step {state.step}: the training diverged",
            "lower optimizer.learning_rate, or set optimizer.clip_norm = 1.0",
        )
    return dict(zip(take_step.figures, (loss, figure), strict=True))


def _lap(seconds: float, since: float) -> tuple[float, float]:
    now = time.monotonic()
    return seconds + now - since, now
