"""hw4 tune --on: the same study wherever its trials are trained, and what cannot be known there."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from kaggle_hw4.errors import Stopped
from kaggle_hw4.execution.executor import Executor
from kaggle_hw4.execution.placement import HERE, Placement, find_placement
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.tuning.coordinator import Coordinator, RunningTrial
from kaggle_hw4.tuning.plan import Plan, make_plan
from kaggle_hw4.tuning.storage import open_storage
from kaggle_hw4.tuning.study import open_study
from kaggle_hw4.tuning.tune import tune
from kaggle_hw4.workspace import Workspace
from tests.conftest import TINY
from tests.test_coordinator import Ended, Processes, Said
from tests.test_coordinator import plan as plan  # the fixture
from tests.test_tune import STEPS, TUNE, run
from tests.test_tune import workspace as workspace  # the fixture


def searched(workspace: Path, name: str, placement: Placement) -> list[Any]:
    """The trials of a study without finals: what was drawn, and how it was validated."""
    parts = {"space": None, "objective": "session", "split": None, "name": name}
    plan = make_plan(
        Workspace(workspace), "boss", [*TINY, *STEPS], **parts, trials=3, placement=placement
    )
    with (
        open_storage(plan.folder, None) as storage,
        placement.executor(str(workspace)) as executor,
    ):
        study = open_study(storage, name, plan.fingerprint())
        Coordinator(plan, storage, study, Said(), executor).search()
        return [
            (trial.params, trial.value, trial.intermediate_values, trial.state)
            for trial in study.trials
        ]


def test_one_job_at_a_time_gives_the_study_of_no_place_at_all(workspace: Path) -> None:
    local = find_placement("local", 1)
    assert local is not None
    trials = searched(workspace, "here", HERE)
    assert trials == searched(workspace, "local", local)
    assert len({tuple(params.values()) for params, *_ in trials}) == 3


class Training(Ended):
    """A run that ends when it is stopped."""

    def poll(self) -> bool:
        return False


class LargeCluster(Placement):
    """One that trains as many runs at a time as a command wants."""

    @contextmanager
    def executor(self, workspace: str) -> Iterator[Executor]:
        yield Endless([], jobs=self.jobs or 256)


class Endless(Processes):
    def submit(self, spec: RunSpec) -> Ended:
        self.started.append(spec)
        return Training(spec, -signal.SIGTERM)


class StopAtOnce(Said):
    def show(self, plan: Plan, study: optuna.Study, running: Sequence[RunningTrial]) -> None:
        self.at_a_time = len(running)
        raise Stopped("stopped", "")


@pytest.mark.parametrize(("jobs", "trials"), [(None, 4), (6, 6), (2, 2)])
def test_a_cluster_trains_few_trials_at_a_time_unless_it_is_told_how_many(
    plan: Plan, jobs: int | None, trials: int
) -> None:
    monitor = StopAtOnce()
    with pytest.raises(Stopped):
        tune(replace(plan, trials=50, placement=LargeCluster("slurm", jobs)), None, 20, monitor)
    assert monitor.at_a_time == trials


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--on", "slurm", "--dry-run"), "--dry-run: how fast a training on slurm is cannot be"),
        (("--on", "ray", "--time-limit", "1h"), "--time-limit: how fast a training on ray is"),
        (("--on", "moon"), "--on: 'moon': runs are trained on local, slurm, ray"),
        (("--slurm", "time=5"), "--slurm: options of sbatch are for jobs of Slurm"),
    ],
)
def test_what_cannot_be_known_elsewhere_is_refused_in_one_line(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert run(*TUNE, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (workspace / "studies" / "boss").exists()
