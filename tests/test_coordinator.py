"""The coordinator of a study: what is launched, retried, failed, waited for and cleaned up."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import DataError, RecipeError, StorageError
from kaggle_hw4.execution.executor import Outcome
from kaggle_hw4.execution.placement import Placement
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.runs import Run
from kaggle_hw4.tuning.coordinator import Coordinator, TrialOutcome
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Float, Space
from kaggle_hw4.tuning.storage import open_storage
from kaggle_hw4.tuning.study import count, open_study
from kaggle_hw4.workspace import Workspace
from tests.conftest import manifest_of, tiny

RATE = Float(type="float", low=1e-4, high=1e-2)
TRAINED, KILLED, TYPO = 0, -signal.SIGKILL, RecipeError.exit_code  # how a run's process ends


@dataclass(eq=False)
class Ended:
    """A run that has ended already, with this exit code."""

    spec: RunSpec
    code: int

    @property
    def run(self) -> Run:
        return Run(Path(self.spec.runs or "") / "boss-1" / "fold0-seed0")

    def poll(self) -> bool:
        return True

    def stop(self, number: int = signal.SIGTERM) -> None: ...

    def collect(self) -> Outcome:
        return Outcome(self.run, None if self.code else manifest_of({}), self.code, "so it ended")


@dataclass
class Processes:
    """An executor without processes: run after run ends with the next of `codes`, then with 0."""

    codes: list[int]
    jobs: int = 1
    started: list[RunSpec] = field(default_factory=list)

    def submit(self, spec: RunSpec) -> Ended:
        self.started.append(spec)
        return Ended(spec, self.codes.pop(0) if self.codes else TRAINED)


class Said:
    """A monitor that remembers what is said, and the counts of the finals."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: list[tuple[int, int]] = []

    def show(self, *_: object) -> None: ...

    def finals(self, done: int, total: int) -> None:
        self.counts.append((done, total))

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def plan(corpus: Corpus, folds: Folds, tmp_path: Path) -> Plan:
    space = Space("boss.toml", {"optimizer.learning_rate": RATE})
    place, target = Workspace(tmp_path), OBJECTIVES["session"]
    return Plan(place, "boss", tiny("boss"), space, target, corpus, folds, "s", trials=2)


@pytest.fixture
def coordinator(plan: Plan) -> Iterator[Coordinator]:
    with open_storage(plan.folder, None) as storage:
        study = open_study(storage, "s", plan.fingerprint())
        yield Coordinator(plan, storage, study, Said(), Processes([]))


def search(coordinator: Coordinator, *codes: int) -> Processes:
    """Tick until enough trials have finished; the runs that were started."""
    processes = Processes(list(codes))
    coordinator.executor = processes
    ticks = 0
    while not coordinator.tick():
        ticks += 1
        assert ticks < 20
    return processes


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def folders(coordinator: Coordinator) -> list[str]:
    return sorted(path.name for path in (coordinator.plan.folder / "trials").iterdir())


def test_finished_trials_have_their_value_and_leave_no_folder(coordinator: Coordinator) -> None:
    assert len(search(coordinator).started) == 2
    assert states(coordinator.study) == ["COMPLETE"] * 2
    assert [trial.value for trial in coordinator.study.trials] == [0.5, 0.5]
    assert folders(coordinator) == []


def test_a_crashed_run_is_started_three_times_in_one_folder_and_then_given_up(
    coordinator: Coordinator,
) -> None:
    processes = search(coordinator, KILLED, KILLED, KILLED)
    assert len({spec.runs for spec in processes.started[:3]}) == 1
    assert len(processes.started) == 4
    counts = count(coordinator.study)
    assert (counts.retried, counts.failed, counts.complete) == (2, 1, 1)
    assert folders(coordinator) == ["0"], "a person may want to look into it"


def test_a_pruned_run_keeps_its_place_and_its_folder_until_its_process_has_ended(
    coordinator: Coordinator,
) -> None:
    """On a cluster that takes seconds, in which the other trials are looked after."""
    coordinator.executor = processes = Processes([])
    coordinator.tick()
    [running] = coordinator.running
    running.outcome = TrialOutcome(TrialState.PRUNED)
    running.handle.poll = lambda: False  # type: ignore[method-assign]
    assert not coordinator.tick()
    assert states(coordinator.study) == ["PRUNED"]
    assert (coordinator.running, coordinator.ending) == ([], [running])
    assert len(processes.started) == len(folders(coordinator)) == 1
    del running.handle.poll
    assert not coordinator.tick()
    assert len(processes.started) == 2
    assert folders(coordinator) == ["1"]


def test_a_recipe_that_cannot_be_trained_is_not_tried_again(coordinator: Coordinator) -> None:
    assert len(search(coordinator, TYPO).started) == 2
    assert states(coordinator.study) == ["FAIL", "COMPLETE"]
    assert coordinator.study.trials[0].user_attrs["failure"] == "so it ended"


def test_a_failure_that_all_trials_would_share_ends_the_study(coordinator: Coordinator) -> None:
    with pytest.raises(DataError, match="trial 0: so it ended; once that is solved"):
        search(coordinator, DataError.exit_code)


def test_as_many_runs_as_jobs_are_started_at_once_and_no_more(plan: Plan) -> None:
    three = replace(plan, placement=Placement(jobs=2), trials=5)
    with open_storage(three.folder, None, jobs=2) as storage:
        study = open_study(storage, "s", three.fingerprint())
        coordinator = Coordinator(three, storage, study, Said(), processes := Processes([]))
        assert not coordinator.tick()
        assert len(coordinator.running) == len(processes.started) == 2
        assert not coordinator.tick()
        assert len(processes.started) == 4


def test_a_search_waits_for_the_trials_of_other_coordinators(coordinator: Coordinator) -> None:
    coordinator.executor = Processes([])  # type: ignore[assignment]
    coordinator.tick()
    elsewhere = coordinator.study.ask()
    assert not coordinator.tick()
    assert not coordinator.running
    assert not coordinator.tick(), "one trial of two is still running"
    elsewhere.suggest_float("optimizer.learning_rate", 1e-4, 1e-2)
    coordinator.study.tell(elsewhere, 0.7)
    assert coordinator.tick()


def test_a_search_is_not_over_while_a_trial_runs_here(coordinator: Coordinator) -> None:
    coordinator.executor = Processes([])  # type: ignore[assignment]
    coordinator.tick()
    for _ in range(2):  # another coordinator is faster
        trial = coordinator.study.ask()
        trial.suggest_float("optimizer.learning_rate", 1e-4, 1e-2)
        coordinator.study.tell(trial, 0.7)
    coordinator.running[0].handle.poll = lambda: False  # type: ignore[method-assign]
    assert not coordinator.tick()
    assert coordinator.running
    del coordinator.running[0].handle.poll
    assert coordinator.tick()
    assert count(coordinator.study).finished == 3


def test_an_unreachable_server_is_said_once_and_waited_for_ten_minutes(
    coordinator: Coordinator,
) -> None:
    for _ in range(2):
        coordinator.wait_for_server(ConnectionError("no route"))
    assert coordinator.monitor.lines == [
        "the study's server is unreachable, waiting for it (no route)"
    ]
    coordinator.unreachable_since = time.monotonic() - 601
    with pytest.raises(StorageError, match="was unreachable for 600 s"):
        coordinator.wait_for_server(ConnectionError("no route"))
    assert coordinator.storage_failed


def test_trials_that_run_when_a_search_is_stopped_wait_for_the_next(
    coordinator: Coordinator,
) -> None:
    coordinator.executor = Processes([])  # type: ignore[assignment]
    coordinator.tick()
    coordinator.requeue()
    assert [trial.state for trial in coordinator.study.trials] == [TrialState.WAITING]
