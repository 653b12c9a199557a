"""A step by way of graphs is the step. Here a graph is the work itself, run again at each launch;
tests/test_gpu.py records them.
"""

import gc
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.weights import weights_bytes
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.graphs import MOST, Graphs, Inputs, Outputs, Record, Work, cuda_recorder
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.training.step import Step, seed_step
from tests.conftest import VARIANTS, ZOO, tiny


class Recorder:
    """Counts the records and the launches of work that is simply done."""

    def __init__(self) -> None:
        self.records = self.launches = 0

    def __call__(self, work: Work) -> Work:
        self.records += 1

        def launch() -> None:
            self.launches += 1
            work()

        return launch


def training(
    recipe: Recipe, corpus: Corpus, folds: Folds, precision: str, device: str = "cpu"
) -> tuple[State, Batches, Step]:
    """The state before the first step, its batches, and what takes a step."""
    torch.manual_seed(0)
    model = build_model(recipe, len(corpus.speakers), corpus.n_mels).to(device)
    model.precision = precision
    store = FrameStore(corpus, torch.device(device))
    state = State.start(model, make_optimizer(model, recipe.optimizer), store.device)
    batches = Batches(store, folds.training(0), folds.session, recipe, seed=0)
    return state, batches, Step(state, recipe)


def trained(
    recipe: Recipe,
    corpus: Corpus,
    folds: Folds,
    record: Record | None,
    steps: int = 6,
    precision: str = "float32",
) -> bytes:
    """The EMA weights after some steps."""
    state, batches, step = training(recipe, corpus, folds, precision)
    step = Step(state, recipe, record)
    for _ in range(steps):
        seed_step(state, 0)
        step(batches.at(state.step))
    return weights_bytes(state.ema)


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_the_same_weights_with_and_without_graphs(
    variant: str, precision: str, corpus: Corpus, folds: Folds
) -> None:
    recipe, recorder = tiny(variant), Recorder()
    plain = trained(recipe, corpus, folds, None, precision=precision)
    assert trained(recipe, corpus, folds, recorder, precision=precision) == plain
    assert recorder.records >= 1
    assert recorder.launches >= 4, "the first step of each shape prepares"


def test_the_margin_and_mixed_segments_reach_a_recorded_step(corpus: Corpus, folds: Folds) -> None:
    recipe = tiny(
        "boss", "loss.margin=0.3", "loss.margin_warmup_steps=5", "loss.margin_type=aam",
        "augment.mixup=0.7", "augment.mixup_with=same_speaker",
    )  # fmt: skip
    recorder = Recorder()
    assert trained(recipe, corpus, folds, recorder) == trained(recipe, corpus, folds, None)
    assert recorder.launches >= 4


def test_each_length_of_segments_has_its_own_graph(corpus: Corpus, folds: Folds) -> None:
    recipe, recorder = tiny("boss", "segments.min_fraction=0.9"), Recorder()
    plain = trained(recipe, corpus, folds, None, steps=20)
    assert trained(recipe, corpus, folds, recorder, steps=20) == plain
    assert recorder.records > 1


def test_no_more_graphs_are_kept_than_there_is_memory_for() -> None:
    def doubled(inputs: Inputs) -> Outputs:
        return [2 * x.sum() for x in inputs if x is not None]

    recorder = Recorder()
    graphs = Graphs(doubled, recorder)
    for length in list(range(1, MOST + 9)) * 3:
        [total] = graphs([torch.ones(length), None])
        assert total == 2 * length
    assert recorder.records == MOST


def test_nothing_is_collected_while_a_graph_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the garbage may be graphs of earlier trainings, whose end spoils the recording."""
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=None))
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: nullcontext())
    collecting = []
    cuda_recorder()(lambda: collecting.append(gc.isenabled()))
    assert collecting == [False]
    assert gc.isenabled()
