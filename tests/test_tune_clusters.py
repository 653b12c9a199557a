"""A study whose trials and finals are trained on Slurm, and on Ray: killed, resumed, pruned."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from optuna.trial import TrialState

from kaggle_hw4.execution.placement import Placement
from kaggle_hw4.execution.queue import ACTIVE, SlurmQueue
from kaggle_hw4.execution.slurm import SlurmJob
from kaggle_hw4.tuning import coordinator as module
from kaggle_hw4.tuning.coordinator import Coordinator, RunningTrial
from kaggle_hw4.tuning.plan import Plan, make_plan
from kaggle_hw4.tuning.storage import open_storage
from kaggle_hw4.tuning.study import open_study
from kaggle_hw4.workspace import Workspace
from tests.conftest import TINY
from tests.ray_cluster import ray_nodes
from tests.slurm_cluster import cluster, is_installed
from tests.test_coordinator import Said
from tests.test_slurm import wait_for, workers
from tests.test_tune import finishes, start
from tests.test_tune import workspace as workspace  # the fixture

SLURM = ("cpus-per-task=1", "time=20")
ENDLESS = (*TINY, "schedule.steps=100000", "schedule.validate_every=20")


@pytest.fixture(
    params=[
        pytest.param(
            "slurm",
            marks=[
                pytest.mark.slurm,
                pytest.mark.skipif(not is_installed(), reason="needs slurm-wlm and munge, as root"),
            ],
        ),
        pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.filterwarnings("ignore")]),
    ]
)
def placement(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Placement]:
    """Two runs at a time, on a Slurm or a Ray that is started here."""
    if request.param == "ray":
        with ray_nodes(monkeypatch) as address:
            yield Placement("ray", 2, address=address)
        return
    pytest.importorskip("submitit")
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, environment[name])
        yield Placement("slurm", 2, SLURM)


def words(placement: Placement) -> tuple[str, ...]:
    """The options of a command that trains there."""
    address = f"://{placement.address}" if placement.address else ""
    options = [word for option in placement.options for word in ("--slurm", option)]
    return ("--on", f"{placement.on}{address}", "--jobs", str(placement.jobs), *options)


@contextmanager
def killing(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill it after the block, if it has not ended."""
    try:
        yield
    finally:
        process.kill()


def test_a_study_whose_coordinator_is_killed_resumes_and_finishes(
    workspace: Path, placement: Placement
) -> None:
    command = ("--trials", "4", "--finalists", "1", "--json", *words(placement))
    with start(*command) as first:
        with killing(first):
            wait_for(lambda: finishes(workspace) or first.poll() is not None, 500)
        assert finishes(workspace), first.communicate()
    with start(*command) as second, killing(second):
        output, error = second.communicate(timeout=800)
    assert second.returncode == 0, error
    summary = json.loads(output)
    trials = summary["trials"]
    assert (trials["finished"], trials["retried"], trials["failed"]) == (4, 0, 0)
    assert set(finishes(workspace).values()) == {1}
    rows = summary["finals"]["candidates"]
    assert [row["n"] for row in rows] == [2] * len(rows)
    assert len(list(workspace.glob("studies/boss/runs/*/*/run.json"))) == 2 * len(rows)
    assert list((workspace / "studies" / "boss" / "trials").iterdir()) == []
    wait_for(lambda: not workers(workspace))  # those of the killed one end, too


def endless(workspace: Path, placement: Placement) -> Plan:
    """Two trials that nobody could wait for."""
    parts = {"space": None, "objective": "session", "split": None, "name": "s"}
    return make_plan(Workspace(workspace), "boss", ENDLESS, **parts, trials=2, placement=placement)


def test_the_job_of_a_pruned_trial_ends_soon_and_is_not_retried(
    workspace: Path, placement: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, pruned = endless(workspace, placement), dict[int, float]()
    handles = []

    def kill(running: RunningTrial) -> None:
        pruned[running.trial.number] = time.monotonic()
        handles.append(running.handle)
        kill_it(running)

    kill_it = RunningTrial.kill
    monkeypatch.setattr(RunningTrial, "kill", kill)
    monkeypatch.setattr(module, "prune", lambda *_: True)
    with (
        placement.executor(str(workspace)) as executor,
        open_storage(plan.folder, None) as storage,
    ):
        study = open_study(storage, "s", plan.fingerprint())
        Coordinator(plan, storage, study, Said(), executor).search()
        assert time.monotonic() - max(pruned.values()) < 30
        assert sorted(pruned) == [0, 1]
        assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert not workers(workspace)
    assert list((plan.folder / "trials").iterdir()) == []
    assert len(handles) == 2
    for handle in handles:
        if isinstance(handle, SlurmJob):
            wait_for(partial(has_left_the_queue, handle))
            assert not handle.job.paths.folder.exists()


def has_left_the_queue(handle: SlurmJob) -> bool:
    queue = SlurmQueue()
    queue.add(handle.job.job_id)
    return queue.state(handle.job.job_id) not in ACTIVE
