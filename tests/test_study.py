"""A study's bookkeeping: what it was made of, how many trials it wants, who is pruned."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from kaggle_hw4.errors import DataError
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.storage import Storage, open_storage
from kaggle_hw4.tuning.study import (
    DEFAULT,
    EARLIER,
    FAILURE,
    FINAL,
    ask,
    ask_again,
    best_trials,
    count,
    enqueue,
    make_pruner,
    open_study,
    prune,
)
from tests.conftest import tiny

SESSION = OBJECTIVES["session"]
MADE_OF = {"corpus": "c1", "space": {"networks.d_model": {"high": 64}}}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with open_storage(tmp_path, None) as made:
        yield made


def run(study: optuna.Study, total: int) -> list[float]:
    """Ask and tell to the total; the points that were drawn."""
    drawn = []
    while trial := ask(study, total, seed=0):
        drawn.append(trial.suggest_float("x", 0.0, 1.0))
        study.tell(trial, drawn[-1])
    return drawn


def test_a_study_of_something_else_is_refused_with_what_differs(storage: Storage) -> None:
    open_study(storage, "s", MADE_OF, SESSION)
    open_study(storage, "s", MADE_OF, SESSION)
    other = {"corpus": "c2", "space": {"networks.d_model": {"high": 128}}}
    told = (
        r"corpus is c1 there and c2 here; space\.networks\.d_model\.high is 64 there and 128 here"
    )
    with pytest.raises(DataError, match=told):
        open_study(storage, "s", other, SESSION)


def test_resuming_continues_to_the_total_and_draws_nothing_twice(storage: Storage) -> None:
    study = open_study(storage, "s", MADE_OF, SESSION)
    first = run(study, 4)
    again = open_study(storage, "s", MADE_OF, SESSION)
    assert run(again, 4) == []
    more = run(again, 7)
    assert (len(first), len(more)) == (4, 3)
    assert len({*first, *more}) == 7


def test_the_same_seed_draws_the_same_study_across_a_restart(tmp_path: Path) -> None:
    drawn = []
    for name, totals in (("a", [12]), ("b", [5, 12])):
        points: list[float] = []
        for total in totals:
            with open_storage(tmp_path / name, None) as storage:
                points += run(open_study(storage, "s", MADE_OF, SESSION), total)
        drawn.append(points)
    assert drawn[0] == drawn[1]


def test_own_values_and_an_earlier_best_are_asked_first_and_once(storage: Storage) -> None:
    study = open_study(storage, "s", MADE_OF, SESSION)
    for _ in range(2):
        enqueue(study, DEFAULT, {"x": 0.25})
        enqueue(study, EARLIER, {"x": 0.75})
    assert run(study, 3)[:2] == [0.25, 0.75]
    assert len(study.trials) == 3
    enqueue(study, EARLIER, {"x": 0.75})
    assert count(study).waiting == 0


def test_a_failure_of_its_own_is_told_and_not_asked_again(storage: Storage) -> None:
    study = open_study(storage, "s", MADE_OF, SESSION)
    trial = study.ask()
    trial.set_user_attr(FINAL, True)
    study.tell(trial, state=TrialState.FAIL)
    ask_again(study)
    assert (count(study).failed, count(study).waiting) == (1, 0)


def test_a_variant_that_does_not_train_ends_its_study(storage: Storage) -> None:
    study = open_study(storage, "s", MADE_OF, SESSION)
    enqueue(study, DEFAULT, {"x": 0.25})
    trial = study.ask()
    trial.set_user_attr(FINAL, True)
    trial.set_user_attr(FAILURE, "the training diverged")
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(DataError, match="the variant itself does not train: the training diverged"):
        ask_again(study)


def test_hyperband_prunes_a_bad_trial_but_never_the_own_values(storage: Storage) -> None:
    study = open_study(storage, "s", MADE_OF, SESSION)
    pruner = make_pruner(tiny("boss", "schedule.steps=90", "schedule.validate_every=10").schedule)
    pruned = []
    for number in range(12):
        enqueue(study, DEFAULT if number == 11 else EARLIER, {"x": 1 - number / 20})
        trial = study.ask()
        for step in range(10, 100, 10):
            trial.report(trial.suggest_float("x", 0.0, 1.0), step)
            if prune(study, pruner, number):
                pruned.append(number)
                break
        study.tell(trial, trial.suggest_float("x", 0.0, 1.0))
    assert pruned, "ever worse trials must be pruned"
    assert not {0, 11} & set(pruned)


def test_the_best_trials_differ_and_follow_the_direction(storage: Storage) -> None:
    for name, expected in (("session", [0.9, 0.5]), ("logloss", [0.1, 0.5])):
        study = open_study(storage, name, MADE_OF, OBJECTIVES[name])
        for x in (0.5, 0.9, 0.9, 0.1):
            study.add_trial(
                optuna.create_trial(
                    params={"x": x},
                    distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                    value=x,
                )
            )
        assert [t.value for t in best_trials(study, OBJECTIVES[name], 2)] == expected
