"""Runs in processes of their own, several at a time: the same bits, and nothing twice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_hw4.cli.jobs import JobsTable, summary
from kaggle_hw4.cli.output import as_text
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.execution.executor import Job, run_all
from kaggle_hw4.execution.local import Finished, InProcess, Process, Subprocesses, cuda_cards
from kaggle_hw4.execution.measure import measure_together
from kaggle_hw4.execution.placement import Placement, find_placement
from kaggle_hw4.execution.progress import RunProgress
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import prepare
from kaggle_hw4.runs import Run, find_runs
from tests.conftest import TINY, Silent
from tests.test_execution import spec as spec  # a fixture

FLAGS = [word for setting in TINY for word in ("-s", setting)]


def hw4(spec: RunSpec, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kaggle_hw4", "--workspace", spec.workspace, *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


def bits(runs: Sequence[Run]) -> dict[str, str]:
    return {run.name: run.manifest().sha256["ema.safetensors"] for run in runs}


def steps_logged(run: Run) -> list[int]:
    return [int(line["step"]) for line in run.logged()]


def test_two_commands_at_once_train_each_run_once_to_the_bits_of_one_process(
    spec: RunSpec, tmp_path: Path
) -> None:
    alone = replace(spec, runs=str(tmp_path / "alone"))
    run_all(InProcess(Silent()), alone.over([0, 1], [0]))
    words = ("train", "strong", "--folds", "all", "--on", "local", "--jobs", "2", *FLAGS)
    commands = [hw4(spec, *words, "--json") for _ in range(2)]
    ended = [command.communicate() for command in commands]
    assert [command.returncode for command in commands] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    runs = find_runs([tmp_path / "runs"])
    assert bits(runs) == bits(find_runs([tmp_path / "alone"]))
    assert [steps_logged(run) for run in runs] == [[2, 4]] * 2
    assert "finished, validation" in ended[0][1] + ended[1][1]


def test_a_killed_run_is_retried_from_its_checkpoint(spec: RunSpec, tmp_path: Path) -> None:
    long = replace(spec, settings=(*TINY, "schedule.steps=60", "schedule.validate_every=2"))
    run_all(InProcess(Silent()), [replace(long, runs=str(tmp_path / "alone"))])
    executor, killed = Subprocesses(jobs=2, threads=1), []

    def kill(jobs: Sequence[Job]) -> None:
        handle = jobs[0].handle
        if not killed and isinstance(handle, Process) and handle.run.checkpoint.exists():
            handle.stop(signal.SIGKILL)
            killed.append(handle.run)

    outcomes = run_all(executor, long.over([0], [0]), watch=kill)
    [run] = [outcome.run for outcome in outcomes.values()]
    assert killed == [run]
    assert bits([run]) == bits(find_runs([tmp_path / "alone"]))
    assert steps_logged(run) == sorted(set(steps_logged(run)))


def test_a_finished_run_starts_no_process(spec: RunSpec) -> None:
    run_all(InProcess(Silent()), [spec])
    assert isinstance(Subprocesses(jobs=2).submit(spec), Finished)


def test_a_signal_stops_all_with_checkpoints_and_the_same_command_resumes(
    spec: RunSpec, tmp_path: Path
) -> None:
    long = ("-s", "schedule.steps=400")
    words = ("train", "strong", "--folds", "all", "--jobs", "2", *FLAGS, *long)
    command = hw4(spec, *words)
    while len(list((tmp_path / "runs").glob("*/*/checkpoint.pt"))) < 2:
        assert command.poll() is None, command.communicate()
        time.sleep(0.05)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "stopped before all runs were trained; the same command resumes it" in err
    runs = find_runs([tmp_path / "runs"])
    stopped = [RunProgress(run) for run in runs]
    assert not any(run.done for run in runs)
    again = hw4(spec, *words, "--verbose")
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    for run, progress in zip(runs, stopped, strict=True):
        progress.read()
        assert (progress.step, progress.steps) == (400, 400)
        assert steps_logged(run) == sorted(set(steps_logged(run)))


def test_what_fails_names_its_log(spec: RunSpec) -> None:
    command = hw4(spec, "train", "simple", "--jobs", "1", *FLAGS, "-s", "schedule.steps=8",
                  "-s", "optimizer.learning_rate=1e30")  # fmt: skip
    _, err = command.communicate(timeout=120)
    assert command.returncode == 3
    assert re.search(r"diverged.*its log is .*worker\.log", err.replace("\n", " ")), err


def test_each_card_has_one_run_while_there_are_enough(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Subprocesses(jobs=3, threads=1, cards=("4", "7"))
    processes = [executor.submit(each) for each in spec.over([0, 1], [0])]
    cards = [
        dict(item.split("=", 1) for item in
             Path(f"/proc/{each.process.pid}/environ").read_text().split("\0") if "=" in item)
        ["CUDA_VISIBLE_DEVICES"] for each in processes if isinstance(each, Process)
    ]  # fmt: skip
    for process in processes:
        process.stop()
        process.collect()
    assert cards == ["4", "7"]
    assert executor._free_card() == "4"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-ab")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert cuda_cards() == ("2", "GPU-ab")


def test_what_runs_cost_is_measured_in_as_many_processes_as_train(spec: RunSpec) -> None:
    executor = Subprocesses(jobs=2, threads=1)
    measured = measure_together(spec, executor, 2)
    cost = measured.cost
    assert 0 < cost.step < cost.run(4, 2)
    assert isinstance(cost.memory, int), "a time limit is read again from its file"
    assert measured.starting > 0.1
    with pytest.raises(DataError, match="cannot be measured: .*no fold table 'session9'"):
        measure_together(replace(spec, split="session9"), executor, 1)


def test_a_placement_is_refused_where_it_makes_no_sense(spec: RunSpec) -> None:
    assert find_placement(None) is None
    assert find_placement(None, 3) == Placement("local", 3)
    with pytest.raises(UsageError, match="runs are trained on local, slurm, ray or ray://ADDRESS"):
        find_placement("moon")
    assert find_placement("ray://10.0.0.5:6379") == Placement("ray", address="10.0.0.5:6379")
    with pytest.raises(UsageError, match="options of sbatch"):
        find_placement("local", None, ["time=5"])
    command = hw4(spec, "train", "strong", "--on", "slurm", "--time-limit", "1h", *FLAGS)
    assert "--time-limit: how fast a training on slurm is cannot be" in command.communicate()[1]
    assert command.returncode == 2


def test_progress_follows_the_log_also_where_it_was_cut(tmp_path: Path) -> None:
    run = Run(tmp_path)
    progress, lines = RunProgress(run), [
        json.dumps({"step": step, "seconds": step / 10, "validation_accuracy": 0.5}) + "\n"
        for step in (25, 50, 75)
    ]  # fmt: skip
    progress.read()
    assert progress.seconds_left() is None
    run.metrics.write_text("".join(lines) + '{"step": 1')
    progress.read()
    progress.steps = 100
    assert (progress.step, progress.validation) == (75, 0.5)
    assert progress.seconds_left() == pytest.approx(2.5)
    run.metrics.write_text(lines[0])
    progress.read()
    assert progress.step == 25


def test_the_table_has_a_row_for_each_run(spec: RunSpec) -> None:
    jobs = [Job(each) for each in spec.over([0, 1], [0])]
    run_all(InProcess(Silent()), [spec])
    run = prepare(spec).run
    jobs[0].handle = Finished(spec, run, run.manifest())
    jobs[0].outcome = jobs[0].handle.collect()
    text = as_text(JobsTable("").render(jobs), 80)
    assert "2 runs: 1 waiting, 1 finished" in text
    assert re.search(r"strong/fold1-seed0 +waiting", text)
    assert re.search(rf"{run.folder.parent.name}/fold0-seed0 +finished +4 +4", text)
    assert summary(jobs[1:], [None]) == "1 runs: 1 waiting"
