"""Cost before value: what a study will take, from a few measured steps."""

import subprocess
import sys
import time
from typing import Any

import numpy as np
import optuna
import torch

from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import choose_device
from kaggle_hw4.inference.predict import WHOLE, predict_logits
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.loop import train_step
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.storage import quiet_optuna
from kaggle_hw4.tuning.study import REDUCTION, least_steps

DRAWS = 3  # random points of the space, beside the variant's own values
STEPS = 4  # measured, after a first one
TIMED = 32  # validation utterances predicted


def estimate(plan: Plan) -> dict[str, Any]:
    """Seconds of a step, of a validation, of a trial to its end, of the search and of the finals.

    The variant's own values and some draws of the space are measured one at a time: what several
    workers take from each other comes on top.
    """
    torch.set_num_threads(plan.executor.threads)
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=plan.seeds[0]))
        draws = [plan.space.suggest(study.ask(), plan.base) for _ in range(DRAWS)]
    store = FrameStore(plan.corpus, choose_device(plan.device))
    costs = np.array([measure(plan, store, recipe) for recipe in (plan.base, *draws)])
    schedule = plan.base.schedule
    start, (step, validation) = start_seconds(), costs.mean(0)
    validations = -(-schedule.steps // schedule.validate_every)
    trial = schedule.steps * step + validations * validation
    share = kept_share(least_steps(schedule), schedule.steps)
    runs = (plan.finalists + 1) * plan.folds.count * len(plan.seeds)
    search = plan.trials * (start + share * trial) / plan.jobs
    finals = runs * (start + trial) / plan.jobs
    return {
        "measured": len(costs),
        "step": step,
        "slowest_step": costs[:, 0].max(),
        "validation": validation,
        "trial": start + trial,
        "trained_share": share,
        "search": search,
        "finals": finals,
        "runs_of_the_finals": runs,
        "total": search + finals,
    }


def measure(plan: Plan, store: FrameStore, recipe: Recipe) -> tuple[float, float]:
    """Seconds of a training step and of a validation of `recipe`."""
    torch.manual_seed(0)
    model = build_model(recipe, len(plan.corpus.speakers), plan.corpus.n_mels).to(store.device)
    state = State.start(model, make_optimizer(model, recipe.optimizer), store.device)
    rows, validated = plan.folds.training(plan.fold), plan.folds.validation(plan.fold)
    batches = Batches(store, rows, plan.folds.session, recipe, seed=0)
    train_step(state, batches.at(0), recipe)
    begin = time.perf_counter()
    for step in range(1, STEPS + 1):
        train_step(state, batches.at(step), recipe)
    float(state.since_report.sum())  # waits for the device
    seconds_of_step = (time.perf_counter() - begin) / STEPS
    seen_session = validated[:TIMED]
    begin = time.perf_counter()
    predict_logits(state.ema, store, seen_session, WHOLE)
    seconds = time.perf_counter() - begin
    lengths = plan.corpus.lengths
    return seconds_of_step, seconds * float(lengths[validated].sum() / lengths[seen_session].sum())


def start_seconds() -> float:
    """What a worker takes before its first step."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import kaggle_hw4.training.loop"], check=True)
    return time.perf_counter() - begin


def kept_share(least: int, most: int) -> float:
    """The share of all steps that Hyperband lets its trials take, by its own brackets."""
    rungs = [least]
    while rungs[-1] * REDUCTION <= most:
        rungs.append(rungs[-1] * REDUCTION)
    shares, sizes = [], []
    for first in range(len(rungs)):
        ends = [*rungs[first:-1], most] if first < len(rungs) - 1 else [most]
        taken, survivors, before = 0.0, 1.0, 0
        for end in ends:
            taken += survivors * (end - before)
            survivors, before = survivors / REDUCTION, end
        shares.append(taken / most)
        left = len(rungs) - 1 - first
        sizes.append(np.ceil(len(rungs) * REDUCTION**left / (left + 1)))
    return float(np.average(shares, weights=sizes))
