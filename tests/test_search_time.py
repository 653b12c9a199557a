"""A study with a time limit asks for no trial that would not leave the time for the finals."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.time_limit import Budget, TimeLimit, read_time_limit
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.tuning import search_time as module
from kaggle_hw4.tuning.coordinator import Coordinator
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.search_time import SearchTime, limit_of, search_time
from kaggle_hw4.tuning.study import count
from tests.test_coordinator import Said, search
from tests.test_coordinator import coordinator as coordinator  # the fixtures
from tests.test_coordinator import plan as plan
from tests.test_study_text import COST as STUDY

COST = replace(STUDY, trial=60.0, search=600.0, finals=100.0)


class Trials:
    """Time for so many trials."""

    def __init__(self, count: int) -> None:
        self.left = count

    def allows_trial(self) -> bool:
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize("left", [0, 1])
def test_a_search_ends_when_its_time_is_over_and_the_baseline_has_the_time_in_any_case(
    coordinator: Coordinator, left: int
) -> None:
    coordinator.time_left = Trials(left)
    assert len(search(coordinator).started) == 1
    assert count(coordinator.study).finished == 1 < coordinator.plan.trials


def test_a_trial_is_asked_for_while_it_and_the_finals_fit(tmp_path: Path) -> None:
    for used, allowed in ((0.0, True), (820.0, True), (830.0, False)):
        limit = TimeLimit(seconds=1000, corpus="c", folds="f", parts=(), used=used, made_by={})
        budget = Budget(tmp_path / "x.json", limit, (), time.monotonic())
        assert SearchTime(budget, COST).allows_trial() is allowed


def test_so_many_trials_fit_into_a_time() -> None:
    assert [COST.trials_in(seconds, 10) for seconds in (50, 100, 230, 700, 9000)] == [
        1,
        1,
        2,
        10,
        10,
    ]


def test_the_time_of_a_study_is_counted_and_said(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "estimate", lambda _: COST)
    monitor, given = Said(), TimeGiven(1000, time.monotonic() - 50)
    with search_time(plan, given, monitor) as left:
        assert left is not None
        assert left.allows_trial()
    assert "asks for trials until about" in monitor.lines[0]
    path = limit_of(plan, given).path(plan.workspace)
    assert read_time_limit(path).used == pytest.approx(50, abs=2)
    with (
        pytest.raises(UsageError, match="2m30s is too short for a trial and the finals; give 3m"),
        search_time(plan, replace(given, seconds=150.0), monitor),
    ):
        pass
    with search_time(plan, None, monitor) as left:
        assert left is None
