"""The cost of a study is measured per training step and scaled to all validation frames."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.execution.measure import Measured
from kaggle_hw4.execution.placement import Placement
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.training import measure
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.tuning import estimate
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Space
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny


def test_an_estimate_shows_which_recipe_is_measured(
    corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "measure", lambda *_: Cost(1.0, 1.0, 1.0, 0))
    monkeypatch.setattr(estimate, "startup_seconds", lambda: 1.0)
    recipe, target = tiny("simple"), OBJECTIVES["session"]
    plan = Plan(Workspace(tmp_path), "simple", recipe, Space("s"), target, corpus, folds, "s")
    counts: list[tuple[int, int | None]] = []
    before = torch.get_num_threads()
    estimate.estimate(plan, lambda _: lambda *count: counts.append(count))
    assert torch.get_num_threads() == before, "the bits of a training depend on it"
    assert counts == [(done, 1 + estimate.DRAWS) for done in range(2 + estimate.DRAWS)]


@pytest.mark.parametrize(("jobs", "waves"), [(1, 8), (3, 3), (None, 4)])
def test_the_finals_of_a_study_take_as_long_as_the_processor_with_the_most_of_them(
    corpus: Corpus,
    folds: Folds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobs: int | None,
    waves: int,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as many jobs, where their number is not given
    cost_of_a_run, together = Cost(1.0, 1.0, 1.0, 0), []

    def measure_together(spec: RunSpec, _: object, jobs: int) -> Measured:
        assert read_recipe(Path(spec.variant)).hash == recipe.hash
        together.append(jobs)
        return Measured(cost_of_a_run, 1.0)

    monkeypatch.setattr(estimate, "measure", lambda *_: cost_of_a_run)
    monkeypatch.setattr(estimate, "startup_seconds", lambda: 1.0)
    monkeypatch.setattr(estimate, "measure_together", measure_together)
    recipe, target = tiny("simple"), OBJECTIVES["session"]
    plan = Plan(Workspace(tmp_path), "simple", recipe, Space("s"), target, corpus, folds, "s")
    cost = estimate.estimate(replace(plan, placement=Placement(jobs=jobs), trials=2))
    assert (cost.final_runs, cost.finals) == (8, waves * cost.trial)
    assert cost.jobs == (jobs or 2)
    assert together == ([] if jobs == 1 else [cost.jobs] * (1 + estimate.DRAWS))
    assert cost.search >= cost.trial, "however many are trained at a time"


def test_a_step_costs_what_it_takes(
    corpus: Corpus, folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step and every prediction take 0.05 s longer than the tiny recipe needs."""

    def slower(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            time.sleep(0.05)
            return function(*arguments)

        return call

    monkeypatch.setattr(measure.Step, "__call__", slower(measure.Step.__call__))
    monkeypatch.setattr(measure, "predict_logits", slower(measure.predict_logits))
    monkeypatch.setattr(measure, "SAMPLE", 6)
    recipe = tiny("boss", "predict.segments=0", "predict.spreading_neighbours=2")
    store = FrameStore(corpus, torch.device("cpu"))
    cost = measure.measure(recipe, folds, 0, store, "auto")
    assert 0.05 < cost.step < 5, "seconds, also where the machine is busy"
    frames = corpus.lengths[folds.validation(0)]
    assert 0.05 < cost.validation * frames[:6].sum() / frames.sum() < 5
    predicted = sum(len(rows) for rows in (folds.validation(0), folds.seen_session(0), corpus.test))
    assert cost.prediction > 0.05 * predicted / 10
    assert cost.memory > 10**6
