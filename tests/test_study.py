"""A study: its fingerprint, how many trials it asks for, which are retried or pruned."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.tuning.fingerprint import Fingerprint, read_fingerprint
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.space import Int, Params, read_space
from kaggle_hw4.tuning.storage import Storage, open_storage
from kaggle_hw4.tuning.study import (
    BASELINE,
    EARLIER_BEST,
    FAILURE,
    PERMANENT,
    ask,
    best_trials,
    count,
    enqueue,
    make_pruner,
    min_steps,
    open_study,
    prune,
    retry_crashed,
)
from kaggle_hw4.tuning.tune import read_summary
from tests.conftest import tiny

FIRST = "optimizer.learning_rate"
TWO_PARAMETERS = """
[optimizer.learning_rate]
type = "float"
low = 2e-4
high = 5e-2
[optimizer.weight_decay]
type = "float"
low = 0.0
high = 0.5
"""
FOLDS = FoldTable(name="session2", by="session", count=2, hash="f")


def fingerprint(corpus: str = "c1", high: int = 64, objective: str = "session") -> Fingerprint:
    return Fingerprint(
        variant="boss",
        recipe=tiny("boss").sections(),
        space={"networks.d_model": Int(type="int", low=8, high=high)},
        corpus=corpus,
        folds=FOLDS,
        objective=objective,
        fold=0,
        seed=0,
    )


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with open_storage(tmp_path, None) as opened:
        yield opened


def run(study: optuna.Study, total: int) -> list[float]:
    """Ask and tell to the total; the points that were drawn."""
    drawn = []
    while trial := ask(study, total, seed=0):
        drawn.append(trial.suggest_float("x", 0.0, 1.0))
        study.tell(trial, drawn[-1])
    return drawn


def test_another_fingerprint_is_refused_with_what_differs(storage: Storage) -> None:
    open_study(storage, "s", fingerprint())
    study = open_study(storage, "s", fingerprint())
    assert read_fingerprint(study) == fingerprint()
    message = (
        r"space\.networks\.d_model\.high is 64 in the study and 128 now; "
        r"corpus is c1 in the study and c2 now\); name a new study"
    )
    with pytest.raises(DataError, match=message):
        open_study(storage, "s", fingerprint("c2", 128))


def test_a_difference_names_the_key_of_one_network(storage: Storage) -> None:
    open_study(storage, "s", fingerprint())
    changed = fingerprint().model_copy(
        update={"recipe": tiny("boss", "networks.d_model=24").sections()}
    )
    message = r"\(recipe\.networks\.0\.d_model is 16 in the study and 24 now\)"
    with pytest.raises(DataError, match=message):
        open_study(storage, "s", changed)


@pytest.mark.parametrize("attributes", [{"space": {}}, {"fingerprint": {"format": 1}}])
def test_a_study_of_another_version_is_refused(
    storage: Storage, attributes: dict[str, object]
) -> None:
    study = optuna.create_study(storage=storage.backend, study_name="s")
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    message = "the study s was made by another version of hw4; name a new study"
    with pytest.raises(DataError, match=message):
        open_study(storage, "s", fingerprint())
    with pytest.raises(DataError, match=message):
        read_fingerprint(study)


@pytest.mark.parametrize(
    ("direction", "trials"), [("minimize", 0), ("minimize", 3), ("maximize", 3)]
)
def test_a_study_that_someone_else_made_is_refused_and_another_name_proposed(
    tmp_path: Path, direction: str, trials: int
) -> None:
    with open_storage(tmp_path, f"sqlite:///{tmp_path}/shared.db") as storage:
        foreign = optuna.create_study(
            storage=storage.backend, study_name="boss", direction=direction
        )
        foreign.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=trials)
        open_study(storage, "boss_2", fingerprint())
        message = "holds a study 'boss' that is not one of hw4's; choose .* such as boss_3"
        with pytest.raises(UsageError, match=message) as raised:
            open_study(storage, "boss", fingerprint())
        assert raised.value.parameter == "study"
        with pytest.raises(DataError, match="not one of hw4's"):
            read_fingerprint(foreign)
        assert len(foreign.trials) == trials
        assert not foreign.user_attrs


def test_a_study_whose_coordinator_was_killed_before_its_fingerprint_is_ones_own(
    storage: Storage,
) -> None:
    optuna.create_study(storage=storage.backend, study_name="s", direction="maximize")
    assert read_fingerprint(open_study(storage, "s", fingerprint())) == fingerprint()


def test_a_study_in_a_renamed_folder_is_the_same_study(tmp_path: Path) -> None:
    with open_storage(tmp_path / "boss", None) as storage:
        run(open_study(storage, "boss", fingerprint()), 3)
    (tmp_path / "boss").rename(tmp_path / "monday")
    summary = read_summary(tmp_path / "monday", None)
    assert (summary.study, summary.trials.finished) == ("boss", 3)
    with open_storage(tmp_path / "monday", None) as storage:
        assert len(open_study(storage, "monday", fingerprint()).trials) == 3


def test_resuming_continues_to_the_total_and_draws_nothing_twice(storage: Storage) -> None:
    study = open_study(storage, "s", fingerprint())
    first = run(study, 4)
    again = open_study(storage, "s", fingerprint())
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
                points += run(open_study(storage, "s", fingerprint()), total)
        drawn.append(points)
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kills", ["before a draw", "between two draws", "after both", "crash"])
def test_a_killed_and_resumed_study_draws_the_points_of_an_undisturbed_one(
    tmp_path: Path, kills: str
) -> None:
    path = tmp_path / "space.toml"
    path.write_text(TWO_PARAMETERS)
    base = tiny("boss")
    space = read_space(path, base)

    def points(folder: Path, killed: bool) -> list[Params]:
        drawn: list[Params] = []
        while len(drawn) < 25:
            with open_storage(folder, None) as storage:
                study = open_study(storage, "s", fingerprint())
                storage.requeue_stale(study)
                retry_crashed(study)
                trial = ask(study, 25, seed=0)
                assert trial
                if killed and len(drawn) % 3 == 1 and len(drawn) not in seen:
                    seen.add(len(drawn))
                    if kills != "before a draw":
                        space.parameters[FIRST].suggest(trial, FIRST)
                    if kills in ("after both", "crash"):
                        space.suggest(trial, base)
                    if kills == "crash":
                        study.tell(trial, state=TrialState.FAIL)
                    continue
                if not space.complete(trial.params):
                    storage.redraw(trial)
                space.suggest(trial, base)
                study.tell(trial, float(trial.params[FIRST]))
                drawn.append(trial.params)
        return drawn

    seen: set[int] = set()
    assert points(tmp_path / "killed", killed=True) == points(tmp_path / "whole", killed=False)


def test_the_baseline_and_an_earlier_best_run_first_and_once(storage: Storage) -> None:
    study = open_study(storage, "s", fingerprint())
    for _ in range(2):
        enqueue(study, BASELINE, {"x": 0.25})
        enqueue(study, EARLIER_BEST, {"x": 0.75})
    assert run(study, 3)[:2] == [0.25, 0.75]
    assert len(study.trials) == 3
    enqueue(study, EARLIER_BEST, {"x": 0.75})
    assert count(study).waiting == 0


def test_a_permanent_failure_is_not_retried(storage: Storage) -> None:
    study = open_study(storage, "s", fingerprint())
    trial = study.ask()
    trial.set_user_attr(PERMANENT, True)
    study.tell(trial, state=TrialState.FAIL)
    retry_crashed(study)
    assert (count(study).failed, count(study).waiting) == (1, 0)


def test_a_baseline_that_does_not_train_ends_its_study(storage: Storage) -> None:
    study = open_study(storage, "s", fingerprint())
    enqueue(study, BASELINE, {"x": 0.25})
    trial = study.ask()
    trial.set_user_attr(PERMANENT, True)
    trial.set_user_attr(FAILURE, "the training diverged")
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(DataError, match="the baseline does not train: the training diverged"):
        retry_crashed(study)


def test_nothing_is_pruned_before_a_ninth_of_the_steps_or_the_first_validation() -> None:
    schedules = {
        every: tiny("boss", "schedule.steps=900", f"schedule.validate_every={every}").schedule
        for every in (10, 100, 150, 2000)
    }
    first = {every: min_steps(schedule) for every, schedule in schedules.items()}
    assert first == {10: 100, 100: 100, 150: 150, 2000: 900}


def test_hyperband_prunes_a_bad_trial_but_never_the_baseline(storage: Storage) -> None:
    study = open_study(storage, "s", fingerprint())
    pruner = make_pruner(tiny("boss", "schedule.steps=90", "schedule.validate_every=10").schedule)
    pruned = []
    for number in range(12):
        enqueue(study, BASELINE if number == 11 else EARLIER_BEST, {"x": 1 - number / 20})
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
        study = open_study(storage, name, fingerprint(objective=name))
        for x in (0.5, 0.9, 0.9, 0.1):
            study.add_trial(
                optuna.create_trial(
                    params={"x": x},
                    distributions={"x": optuna.distributions.FloatDistribution(0, 1)},
                    value=x,
                )
            )
        assert [t.value for t in best_trials(study, OBJECTIVES[name], 2)] == expected
