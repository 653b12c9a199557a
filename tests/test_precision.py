"""The precision of a run: chosen once, kept with it, the same bits across a stop in each."""

import re
import signal
from pathlib import Path

import pytest
import torch

from kaggle_hw4 import precision
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import Stopped, UsageError
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.models.build import build_model
from kaggle_hw4.precision import choose_precision, cpu_gain, fastest_precision
from kaggle_hw4.training.loop import train_run
from tests.conftest import Silent, job, tiny
from tests.test_training import CPU, SignalAt, bits

STEPS = ("schedule.steps=6", "schedule.validate_every=2", "networks.dropout=0.1")


@pytest.mark.parametrize("name", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("variant", ["simple", "boss", "zoo/two_kinds"])
def test_a_stopped_run_resumes_to_the_same_bits_in_every_precision(
    corpus: Corpus, folds: Folds, tmp_path: Path, variant: str, name: str
) -> None:
    recipe = tiny(variant, *STEPS)
    whole = job(recipe, corpus, folds, tmp_path / "whole")
    manifest = train_run(*whole, CPU, Silent(), name)
    parts = job(recipe, corpus, folds, tmp_path / "stopped")
    with pytest.raises(Stopped):
        train_run(*parts, CPU, SignalAt(2, signal.SIGTERM), name)
    resumed = train_run(*parts, CPU, Silent())  # which keeps the precision that it was begun in
    assert bits(parts.run) == bits(whole.run)
    assert manifest.training.precision == resumed.training.precision == name
    assert resumed.prediction.device.precision == name
    assert resumed.earlier == ()


def test_precisions_differ_in_their_bits(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    runs = {}
    for name in ("float32", "bf16", "fp16"):
        parts = job(tiny("boss", *STEPS), corpus, folds, tmp_path / name)
        train_run(*parts, CPU, Silent(), name)
        runs[name] = str(bits(parts.run))
    assert len(set(runs.values())) == 3


def test_a_resume_elsewhere_trains_on_and_says_what_changed(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    parts = job(tiny("boss", *STEPS), corpus, folds, tmp_path)
    with pytest.raises(Stopped):
        train_run(*parts, CPU, SignalAt(2, signal.SIGTERM), "float32")
    monitor = Silent()
    manifest = train_run(*parts, CPU, monitor, "bf16")
    threads = f"{torch.get_num_threads()} thread"
    pattern = rf"trains on cpu, bf16, {threads}s?; before, on cpu, float32, {threads}s?"
    assert re.fullmatch(pattern, monitor.notes)
    assert manifest.training.precision == "bf16"
    assert [device.precision for device in manifest.earlier] == ["float32"]


def test_a_precision_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="fp8: a precision is one of auto, float32, bf16, fp16"):
        choose_precision("fp8", CPU)


@pytest.mark.parametrize(("gain", "name"), [(8.0, "bf16"), (1.8, "bf16"), (0.6, "float32")])
def test_a_cpu_computes_in_bf16_where_it_multiplies_that_faster(
    monkeypatch: pytest.MonkeyPatch, gain: float, name: str
) -> None:
    """A CPU with AMX, one with AVX-512's bf16 alone, one without either."""
    monkeypatch.delenv("HW4_PRECISION", raising=False)
    monkeypatch.setattr(precision, "cpu_gain", lambda _: gain)
    assert choose_precision("auto", CPU) == name


@pytest.mark.parametrize(
    ("capability", "bf16", "name"),
    [((9, 0), True, "bf16"), ((7, 5), False, "fp16"), ((6, 0), False, "float32")],
)
def test_a_card_computes_in_what_it_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], bf16: bool, name: str
) -> None:
    """An H100, a T4, a P100."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    card = torch.device("cuda")
    assert fastest_precision(card) == name
    if not bf16:
        with pytest.raises(UsageError, match="no bf16"):
            choose_precision("bf16", card)


def test_the_variable_is_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HW4_PRECISION", "fp16")
    assert choose_precision("auto", CPU) == "fp16"
    assert choose_precision("float32", CPU) == "float32"
    monkeypatch.setenv("HW4_PRECISION", "fp17")
    with pytest.raises(UsageError, match="fp17"):
        choose_precision("auto", CPU)


def test_the_gain_of_bf16_is_measured() -> None:
    assert 0.01 < cpu_gain("bf16") < 100


@pytest.mark.parametrize("variant", ["medium", "boss", "zoo/two_kinds"])
@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_predictions_are_near_those_of_float32(corpus: Corpus, variant: str, name: str) -> None:
    torch.manual_seed(0)
    model, store = build_model(tiny(variant), 4), FrameStore(corpus, CPU)
    exact = predict_logits(model, store, corpus.train, WHOLE)
    model.precision = name
    near = predict_logits(model, store, corpus.train, WHOLE)
    assert 0 < abs(near - exact).max() < 0.05 * abs(exact).max()


@pytest.mark.parametrize("variant", ["medium", "strong", "zoo/two_kinds"])
def test_what_the_layers_add_to_is_float32_in_every_precision(corpus: Corpus, variant: str) -> None:
    """Their range and their last digits are those of the residual stream."""
    model = build_model(tiny(variant, "networks.dropout=0.2"), 4).train()
    model.precision, seen = "bf16", []
    for network in model.networks:
        for layer in network.encoder.layers:
            layer.register_forward_hook(lambda _, inputs, y: seen.extend([inputs[0], y]))
    model(torch.randn(4, 24, 40), None)
    assert {tensor.dtype for tensor in seen} == {torch.float32}
