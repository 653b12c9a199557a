"""On a CUDA device: the same weights give the same answers, and graphs change no bit."""

import gc
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import Stopped
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.models.build import build_model
from kaggle_hw4.pretraining.loop import pretrain_run
from kaggle_hw4.pretraining.recipe import OBJECTIVES
from kaggle_hw4.ranks import joined
from kaggle_hw4.training.loop import train_run
from kaggle_hw4.training.step import seed_step
from tests.conftest import VARIANTS, ZOO, Silent, job, tiny
from tests.slurm_cluster import free_ports
from tests.test_graphs import training
from tests.test_pretraining import recipe_of, run_of
from tests.test_ranks import MASKED, TOLERANCE, losses, settings_of
from tests.test_training import SignalAt, bits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_cuda_predicts_what_the_cpu_predicts(corpus: Corpus, variant: str) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(variant), 4)
    rows = corpus.train
    cpu = predict_logits(model, FrameStore(corpus, torch.device("cpu")), rows, WHOLE)
    store = FrameStore(corpus, torch.device("cuda"))
    cuda = predict_logits(model.cuda(), store, rows, WHOLE)
    scale = np.abs(cpu).max()
    assert np.abs(cpu - cuda).max() < 0.05 * scale  # bf16 has three digits


@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_cuda_trains_to_the_end(corpus: Corpus, folds: Folds, tmp_path: Path, variant: str) -> None:
    parts = job(tiny(variant), corpus, folds, tmp_path)
    manifest = train_run(*parts, torch.device("cuda"), Silent())
    assert manifest.training.device == "cuda"
    assert np.isfinite(parts.run.read_logits("test").values).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_cuda_pretrains_to_the_end(
    corpus: Corpus, folds: Folds, tmp_path: Path, objective: str
) -> None:
    recipe = recipe_of(objective, "schedule.steps=6")
    run = run_of(recipe, corpus, folds, tmp_path)
    manifest = pretrain_run(run, recipe, corpus, folds, torch.device("cuda"), Silent())
    assert np.isfinite(manifest.loss)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_recorded_graphs_change_no_bit(
    corpus: Corpus, folds: Folds, variant: str, precision: str
) -> None:
    weights = []
    for recorded in (False, True):
        state, batches, step = training(tiny(variant), corpus, folds, precision, "cuda")
        if not recorded:
            step.gradients = step.run_gradients
        for _ in range(6):
            seed_step(state, 0)
            step(batches.at(state.step))
        weights.append([value.cpu() for value in state.ema.state_dict().values()])
    for once, again in zip(*weights, strict=True):
        assert torch.equal(once, again)


def test_the_garbage_of_an_earlier_training_does_not_spoil_a_graph(
    corpus: Corpus, folds: Folds
) -> None:
    """A recording during which a graph in a cycle of references was destroyed has failed."""
    before = gc.get_threshold()
    try:
        for _ in range(2):
            state, batches, step = training(tiny("boss"), corpus, folds, "float32", "cuda")
            step.cycle = step  # only the collector ends it, with its graphs
            gc.set_threshold(1)  # at every chance
            for _ in range(4):
                seed_step(state, 0)
                step(batches.at(state.step))
            assert state.step == 4
            gc.set_threshold(*before)
            del state, batches, step
    finally:
        gc.set_threshold(*before)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_nothing_in_a_step_waits_for_the_device(corpus: Corpus, folds: Folds, variant: str) -> None:
    state, batches, step = training(tiny(variant), corpus, folds, "bf16", "cuda")
    try:
        for done in range(6):
            seed_step(state, 0)
            step(batches.at(state.step))
            if done == 2:  # the graph is recorded
                torch.cuda.set_sync_debug_mode("error")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert state.step == 6


@pytest.mark.parametrize("variant", ["boss", "zoo/bilstm", "zoo/jordan", "zoo/gat"])
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_run_resumed_on_a_card_has_the_same_bits(
    corpus: Corpus, folds: Folds, tmp_path: Path, precision: str, variant: str
) -> None:
    settings = ("schedule.steps=9", "schedule.validate_every=3", "networks.dropout=0.1")
    recipe, card = tiny(variant, *settings), torch.device("cuda")
    whole = job(recipe, corpus, folds, tmp_path / "whole")
    train_run(*whole, card, Silent(), precision)
    stopped = job(recipe, corpus, folds, tmp_path / "stopped")
    with pytest.raises(Stopped):
        train_run(*stopped, card, SignalAt(3, signal.SIGTERM), precision)
    train_run(*stopped, card, Silent())
    assert bits(stopped.run) == bits(whole.run)


def test_sums_by_nccl_change_no_loss(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one card: the only rank of torchrun's, which a command would not ask to sum anything."""
    [port] = free_ports(1)
    variables = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1"}
    for name, value in (variables | {"MASTER_PORT": port}).items():
        monkeypatch.setenv(name, str(value))
    recipe = tiny("boss", *settings_of("boss", *MASKED), "schedule.validate_every=2")
    alone, one = (job(recipe, corpus, folds, tmp_path / name) for name in ("alone", "one"))
    card = torch.device("cuda")
    train_run(*alone, card, Silent(), "float32")
    with joined("cuda") as ranks:
        train_run(*one, card, Silent(), "float32", ranks=ranks)
    assert losses(alone.run)
    assert losses(one.run) == pytest.approx(losses(alone.run), abs=TOLERANCE)
