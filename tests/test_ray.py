"""Runs as tasks of a Ray cluster of two nodes, one of which is killed in the middle."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_hw4.errors import DataError, Stopped
from kaggle_hw4.execution.executor import Job, run_all, stop_all
from kaggle_hw4.execution.local import InProcess
from kaggle_hw4.execution.node import Inputs, pack_inputs, unpack_inputs
from kaggle_hw4.execution.placement import Placement
from kaggle_hw4.execution.ray import check
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import prepare
from kaggle_hw4.runs import find_runs
from tests.conftest import TINY, Silent
from tests.ray_cluster import ray_nodes
from tests.test_execution import spec as spec  # a fixture
from tests.test_jobs import bits, steps_logged

LONG = (*TINY, "schedule.steps=200", "schedule.validate_every=20")


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_three_runs_survive_the_loss_of_a_node_with_the_bits_of_one_process(
    spec: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or it starves beside other tests
    from ray.cluster_utils import Cluster

    options = {"object_store_memory": 10**8, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **options})
    node = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    long, lost, retried = replace(spec, settings=LONG), [], set()
    specs = [*long.over([0, 1], [0]), replace(long, seed=1)]

    def kill(jobs: Sequence[Job]) -> None:
        retried.update(job.spec for job in jobs if job.crashes)
        training = [job for job in jobs if job.handle and job.handle.run.checkpoint.exists()]
        if not lost and len(training) == 2:
            lost.append(time.monotonic())
            cluster.remove_node(node, allow_graceful=False)

    try:
        with Placement("ray", jobs=2, address=cluster.address).executor(spec.workspace) as executor:
            outcomes = run_all(executor, specs, watch=kill)
    finally:
        cluster.shutdown()
    assert lost and len(retried) == 1
    assert all(outcome.manifest for outcome in outcomes.values())
    runs = find_runs([tmp_path / "runs"])
    for run in runs:
        assert steps_logged(run) == sorted(set(steps_logged(run)))
    alone = str(tmp_path / "alone")
    run_all(InProcess(Silent()), [replace(each, runs=alone) for each in specs])
    assert bits(runs) == bits(find_runs([tmp_path / "alone"]))


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")
def test_a_stop_ends_what_is_trained_and_what_waits_for_a_node_within_seconds(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = replace(spec, settings=(*TINY, "schedule.steps=100000"))
    with (
        ray_nodes(monkeypatch) as address,
        Placement("ray", jobs=4, address=address).executor(spec.workspace) as executor,
    ):
        handles = [executor.submit(each) for each in endless.over([0, 1], [0, 1])]
        until = time.monotonic() + 120
        while sum(handle.run.metrics.exists() for handle in handles) < 2:
            assert not any(handle.poll() for handle in handles)
            assert time.monotonic() < until
            time.sleep(0.2)
        begin = time.monotonic()
        stop_all(handles)
        assert time.monotonic() - begin < 30
    outcomes = [handle.collect() for handle in handles]
    trained = [outcome.run.checkpoint.exists() for outcome in outcomes]
    assert [outcome.code for outcome in outcomes].count(Stopped.exit_code) == sum(trained) == 2


def test_inputs_are_unpacked_once_a_node(spec: RunSpec, tmp_path: Path) -> None:
    packed = pack_inputs(Inputs(spec.workspace))
    folder = unpack_inputs(packed, tmp_path)
    assert prepare(replace(spec, workspace=str(folder))).run.name == prepare(spec).run.name
    stamp = folder.stat().st_mtime_ns
    assert unpack_inputs(packed, tmp_path) == folder
    assert folder.stat().st_mtime_ns == stamp


def test_a_file_that_comes_back_damaged_is_refused(spec: RunSpec) -> None:
    run_all(InProcess(Silent()), [spec])
    run = prepare(spec).run
    files = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    sealed = files["run.json"]
    assert check(run, files, sealed) == sealed
    files["test.safetensors"] += b"?"
    with pytest.raises(DataError, match=r"test\.safetensors came back damaged"):
        check(run, files, sealed)
