"""A checkpoint holds a training wherever it stops, and the first of its best weights."""

import json
import signal
from pathlib import Path

import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import Stopped
from kaggle_hw4.inference.weights import weights_bytes
from kaggle_hw4.training.checkpoint import load_checkpoint
from kaggle_hw4.training.loop import start, train_run, validate
from tests.conftest import Silent, job, tiny, trained
from tests.test_training import CPU, SignalAt, bits, log


def test_a_run_stopped_between_two_validations_resumes_where_it_stopped(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("simple", "schedule.steps=30", "schedule.validate_every=30")
    whole = trained(recipe, corpus, folds, tmp_path / "whole")
    parts = job(recipe, corpus, folds, tmp_path / "stopped")
    with pytest.raises(Stopped, match="stopped after step 25, checkpoint written"):
        train_run(*parts, CPU, SignalAt(25, signal.SIGTERM))
    monitor = Silent()
    train_run(*parts, CPU, monitor)
    assert monitor.done == 25
    assert bits(parts.run) == bits(whole)
    assert log(parts.run) == log(whole)
    seconds = [json.loads(line)["seconds"] for line in parts.run.metrics.read_text().splitlines()]
    assert 0 < seconds[0] < seconds[1], "the time before the stop counts, too"


def test_of_equal_validation_accuracies_the_first_weights_are_the_best(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    """Logits twice as large name the same speakers."""
    parts = job(tiny("simple"), corpus, folds, tmp_path)
    state, store = start(*parts[:3], CPU), FrameStore(corpus, CPU)
    first = validate(state, store, folds.validation(0))
    best = state.best_weights
    with torch.no_grad():
        for parameter in state.ema.networks[0].head.parameters():
            parameter.mul_(2)
    again = validate(state, store, folds.validation(0))
    assert again["validation_accuracy"] == first["validation_accuracy"] == state.best
    assert again["validation_loss"] != first["validation_loss"]
    assert state.best_weights == best


def test_a_checkpoint_says_its_format(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    """A number of its own for every layout: an older hw4 must refuse a newer one."""
    run = trained(tiny("simple"), corpus, folds, tmp_path)
    values = torch.load(run.checkpoint, weights_only=True)
    assert values["format"] == 5
    assert set(values) == {
        "format", "model", "ema", "optimizer", "step", "best", "best_weights", "seconds",
        "since_report", "steps_since_report", "memory", "precision", "devices", "scaler",
        "breakpoints",
    }  # fmt: skip


def test_a_checkpoint_can_be_sent(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    parts = job(tiny("simple"), corpus, folds, tmp_path)
    train_run(*parts, CPU, Silent())
    state = start(*parts[:3], CPU)
    data = parts.run.checkpoint.read_bytes()
    parts.run.checkpoint.unlink()
    sent = start(*parts[:3], CPU)
    load_checkpoint(parts.run.checkpoint, sent, CPU, data)
    assert sent.step == state.step == 4
    assert weights_bytes(sent.ema) == weights_bytes(state.ema)
