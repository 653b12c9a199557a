"""What a training costs on this machine, measured on some steps and some predictions."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.device import peak_memory
from kaggle_hw4.inference.discriminant import Discriminant
from kaggle_hw4.inference.embed import WHOLE, plan_segments, statistics_of
from kaggle_hw4.inference.fusion import Analyses
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.spreading import spread_labels
from kaggle_hw4.logits import logits_bytes
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.second_order import SecondOrder
from kaggle_hw4.precision import choose_precision
from kaggle_hw4.recipe import PredictionConfig, Recipe
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.memory import keep_freed_memory
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.training.step import Step, seed_step

STEPS = 4  # measured, or as many as fit into a second
MOST_STEPS = 64
WARM_UP = {"cpu": 1, "cuda": 3}  # steps before: a CUDA graph is recorded in the second
SAMPLE = 32  # validation utterances predicted
SPREAD_ROWS = 512  # of random embeddings, between which labels are spread
WIDTH = 256  # of these embeddings
SELF_ROWS = 8192  # of random embeddings that self-training is timed with
STATES = 6  # copies of a network's weights on the disk: best, EMA, and a checkpoint's four


@dataclass(frozen=True)
class Cost:
    """Seconds of a training step, of a validation and of all the predictions at a run's end;
    `memory` is the most bytes that they took.
    """

    step: float
    validation: float
    prediction: float
    memory: int

    def run(self, steps: int, validate_every: int) -> float:
        """Seconds of a run of so many steps, validations and predictions included."""
        validations = -(-steps // validate_every)
        return steps * self.step + validations * self.validation + self.prediction


def measure(recipe: Recipe, folds: Folds, fold: int, store: FrameStore, precision: str) -> Cost:
    """Train some steps of `recipe` on a fold, predict some utterances, and scale to all of them."""
    torch.manual_seed(0)
    keep_freed_memory()
    corpus, device = store.corpus, store.device
    model = build_model(recipe, len(corpus.speakers), corpus.n_mels).to(device)
    state = State.start(model, make_optimizer(model, recipe.optimizer), device)
    state.model.precision = state.ema.precision = choose_precision(precision, device)
    batches = Batches(store, folds.training(fold), folds.session, recipe, seed=0)
    seconds_of_step = _time_steps(state, Step(state, recipe), batches)
    # Predict a sample, as a validation does and as the recipe says, and scale it to all frames.
    validation = folds.validation(fold)
    sets = [validation, folds.seen_session(fold), corpus.test]
    alone = recipe.predict.model_copy(update={"spreading_neighbours": 0})

    def predicted(config: PredictionConfig, rows: IntArray) -> float:
        sample = validation[:SAMPLE]
        predict_logits(state.ema, store, sample[:2], config)  # prepares kernels
        seconds = _seconds(lambda: predict_logits(state.ema, store, sample, config))
        return seconds * _frames(store, rows, config) / _frames(store, sample, config)

    validating = predicted(WHOLE, validation)
    predicting = predicted(alone, np.concatenate(sets))
    sizes = [len(rows) for rows, _ in folds.subsets(fold)] + [len(rows) for rows in sets[1:]]
    settled, speakers = recipe.predict.settled(folds.by), len(corpus.speakers)
    if settled.spreading_neighbours:
        predicting += _spreading_seconds(sizes, speakers, int(settled.spreading_neighbours))
    if recipe.predict.statistics:
        predicting += _statistics_seconds(store, validation[:SAMPLE], len(sets))
    if settled.self_training:
        coordinates = min(speakers, SecondOrder(corpus.n_mels).d_embedding)
        width = rank_of(recipe) + recipe.predict.statistics * coordinates
        predicting += _self_training_seconds(sizes, speakers, width)
    return Cost(seconds_of_step, validating, predicting, peak_memory(device))


def bytes_of_run(recipe: Recipe, parameters: int, speakers: int, rows: float) -> int:
    """Bytes that a run leaves on the disk, with logits of so many `rows`."""
    return round(STATES * 4 * parameters + logits_bytes(rows, speakers, rank_of(recipe)))


def rank_of(recipe: Recipe) -> int:
    """The width of the embeddings of all networks."""
    return sum(config.count * config.d_embedding for config in recipe.networks)


def _time_steps(state: State, take_step: Step, batches: Batches) -> float:
    """Seconds of a step, after those that warm up."""

    def step() -> None:
        seed_step(state, 0)
        take_step(batches.at(state.step))

    for _ in range(WARM_UP.get(batches.store.device.type, 1)):
        step()
    float(state.since_report.sum())  # waits for the device
    begin, done = time.perf_counter(), 0
    while done < STEPS or (done < MOST_STEPS and time.perf_counter() - begin < 1):
        step()
        done += 1
    float(state.since_report.sum())
    return (time.perf_counter() - begin) / done


def _spreading_seconds(sizes: list[int], speakers: int, neighbours: int) -> float:
    """Seconds of label spreading within sets of these sizes: it grows with their squares."""
    rows = min(SPREAD_ROWS, max(sizes))
    logits, points = torch.randn(rows, speakers), torch.randn(rows, WIDTH)
    seconds = _seconds(lambda: spread_labels(logits, points, points.numpy(), neighbours))
    return seconds * sum((size / rows) ** 2 for size in sizes)


def _statistics_seconds(store: FrameStore, sample: IntArray, sets: int) -> float:
    """Seconds of the statistics of all utterances, which grow with the frames, and of analyses of
    random points for each of some sets.
    """
    corpus = store.corpus
    statistics = statistics_of(store, sample)  # prepares
    seconds = _seconds(lambda: statistics_of(store, sample))
    points = [torch.randn(len(corpus.train), each.shape[1]) for each in statistics]
    speakers, every = len(corpus.speakers), np.arange(len(corpus.ids))
    labels = torch.arange(len(corpus.train)) % speakers
    fitting = _seconds(lambda: Analyses.fit(points, labels, speakers))
    of_all = seconds * _frames(store, every, WHOLE) / _frames(store, sample, WHOLE)
    return sets * fitting + of_all


def _self_training_seconds(sizes: list[int], speakers: int, width: int) -> float:
    """Seconds of self-training within sets of these sizes, which grow with them."""
    rows = min(SELF_ROWS, max(sizes))
    points, logits = torch.randn(rows, width), torch.randn(rows, speakers).numpy()
    seconds = _seconds(lambda: Discriminant.fit_guessed(points, logits))
    return seconds * max(len(sizes), sum(sizes) / rows)


def _frames(store: FrameStore, rows: IntArray, config: PredictionConfig) -> int:
    return int(plan_segments(store.corpus.lengths[rows], config)[1][:, 1].sum())


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
