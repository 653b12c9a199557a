"""Runs as jobs of a Slurm that is started here: preempted, killed, and the bits of this process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.executor import LOG, run_all
from kaggle_hw4.execution.local import InProcess
from kaggle_hw4.execution.slurm import make_executor, read_minutes, read_options, threads_of_job
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.runs import find_runs
from tests.conftest import TINY, Silent
from tests.slurm_cluster import cluster, is_installed, start
from tests.test_execution import spec as spec  # a fixture
from tests.test_jobs import bits, steps_logged

LONG = (*TINY, "schedule.steps=400", "schedule.validate_every=50")
FLAGS = [word for setting in LONG for word in ("-s", setting)]
needs_slurm = pytest.mark.skipif(not is_installed(), reason="needs slurm-wlm and munge, as root")


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


def workers(workspace: str | Path) -> dict[int, str]:
    """The processes that train runs of the workspace, with their command lines; never others."""
    known = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"kaggle_hw4.execution.worker" in words and str(workspace).encode() in b" ".join(words):
            known[int(path.parent.name)] = b" ".join(words).decode()
    return known


def wait_for(what: object, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.1)


def hw4(slurm: dict[str, str], spec: RunSpec, *words: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "kaggle_hw4", "--workspace", spec.workspace, "train",
               "strong", *FLAGS, "--on", "slurm", "--slurm", "cpus-per-task=1", *words)  # fmt: skip
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=slurm
    )


@pytest.mark.slurm
@needs_slurm
def test_six_runs_of_an_array_are_preempted_and_killed_and_have_the_bits_of_one_process(
    slurm: dict[str, str], spec: RunSpec, tmp_path: Path
) -> None:
    seeds = [word for seed in "012" for word in ("--seed", seed)]
    command = hw4(slurm, spec, "--folds", "all", *seeds, "--jobs", "2", "--slurm", "time=20")
    checkpoints = lambda: list((tmp_path / "runs").glob("*/*/checkpoint.pt"))  # noqa: E731
    wait_for(lambda: len(checkpoints()) >= 2 or command.poll() is not None)
    assert command.poll() is None, command.communicate()

    # One is preempted by a job of higher priority, and requeued.
    start(slurm, "sbatch", "-p", "high", "-c", "1", "-o", "/dev/null", "--wrap", "sleep 3")
    log = Path(slurm["SLURM_CONF"]).parent / "slurmctld.log"
    wait_for(lambda: "equeu" in log.read_text())

    # One is killed.
    os.kill(next(iter(workers(tmp_path))), signal.SIGKILL)
    _, err = command.communicate(timeout=500)
    assert command.returncode == 0, err + log.read_text()
    assert "ended early, is retried from its last checkpoint" in err
    assert len(re.findall(r": queued$", err, re.MULTILINE)) >= 1
    runs = find_runs([tmp_path / "runs"])
    assert len(runs) == 6
    for run in runs:
        assert steps_logged(run) == sorted(set(steps_logged(run)))
    alone = replace(spec, settings=LONG, runs=str(tmp_path / "alone"))
    run_all(InProcess(Silent()), alone.over([0, 1], [0, 1, 2]))
    assert bits(runs) == bits(find_runs([tmp_path / "alone"]))


@pytest.mark.slurm
@needs_slurm
def test_a_job_near_its_time_limit_is_queued_again_and_its_run_has_the_bits_of_one_process(
    slurm: dict[str, str], spec: RunSpec, tmp_path: Path
) -> None:
    command = hw4(slurm, spec, "--slurm", "time=2", "--slurm", "signal-delay-s=60")
    wait_for(lambda: workers(tmp_path) and list((tmp_path / "runs").glob("*/*/checkpoint.pt")))
    # Halted until Slurm's signal comes, so that the run isn't finished before it.
    [worker] = workers(tmp_path)
    os.kill(worker, signal.SIGSTOP)
    logs = lambda: "".join(path.read_text() for path in tmp_path.glob("slurm/*/*.err"))  # noqa: E731
    wait_for(lambda: "SIGUSR2" in logs(), 150)
    os.kill(worker, signal.SIGCONT)
    [run] = find_runs([tmp_path / "runs"])
    wait_for(lambda: "checkpoint written; the same command" in (run.folder / LOG).read_text())

    _, err = command.communicate(timeout=400)
    assert command.returncode == 0, err
    assert "retried" not in err, "it was queued again, and not lost"
    queued = re.findall(r": queued$", err, re.MULTILINE)
    assert len(queued) >= 2, err  # more where two minutes are too short for a slow machine
    alone = replace(spec, settings=LONG, runs=str(tmp_path / "alone"))
    run_all(InProcess(Silent()), [alone])
    assert bits([run]) == bits(find_runs([tmp_path / "alone"]))
    assert steps_logged(run) == sorted(set(steps_logged(run)))


@pytest.mark.slurm
@needs_slurm
def test_ctrl_c_stops_the_jobs_with_checkpoints(
    slurm: dict[str, str], spec: RunSpec, tmp_path: Path
) -> None:
    command = hw4(slurm, spec, "--folds", "all", "-s", "schedule.steps=100000", "--jobs", "1")
    wait_for(lambda: list((tmp_path / "runs").glob("*/*/checkpoint.pt")))
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=120)
    assert command.returncode == 130, err
    [run] = [run for run in find_runs([tmp_path / "runs"]) if run.checkpoint.exists()]
    log = (run.folder / "worker.log").read_text()
    assert "checkpoint written" in log
    assert not workers(tmp_path)
    wait_for(lambda: not start(slurm, "squeue", "-h").strip(), 30)


@pytest.mark.slurm
@needs_slurm
def test_what_sbatch_refuses_is_an_error_in_one_line(slurm: dict[str, str], spec: RunSpec) -> None:
    command = hw4(slurm, spec, "--slurm", "partition=nope")
    _, err = command.communicate(timeout=60)
    assert command.returncode == 2
    assert re.search("^hw4: --slurm: Slurm takes no such job: .*partition", err, re.MULTILINE), err
    assert "Traceback" not in err
    assert err.count("partition") <= 2, err


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, 8),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "4"}, 2),
        ({"SLURM_CPUS_ON_NODE": "4"}, 4),
        ({"SLURM_CPUS_PER_TASK": "64"}, 8),
        ({"SLURM_CPUS_PER_TASK": "many"}, 8),
    ],
)
def test_a_job_has_as_many_threads_as_processors_even_where_slurm_does_not_bind_it(
    variables: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert threads_of_job() == threads


def test_options_are_those_of_sbatch() -> None:
    assert read_options(["mem_per_cpu=2G", "--gres=gpu:1"]) == {
        "mem-per-cpu": "2G",
        "gres": "gpu:1",
    }
    with pytest.raises(UsageError, match="no KEY=VALUE"):
        read_options(["partition"])


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("90:00", 90), ("2:30:00", 150), ("1-12", 2160), ("1-0:30", 1470)],
)
def test_times_are_those_of_sbatch(text: str, minutes: int) -> None:
    assert read_minutes(text) == minutes
    with pytest.raises(UsageError, match="in minutes"):
        read_minutes("soon")


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"no Slurm|submitit is not installed"):
        make_executor(tmp_path, 1, [])
