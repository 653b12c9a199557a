"""`--stop-after` ends a command as SIGTERM would, wherever it is; the same command resumes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import Stopped, UsageError
from kaggle_hw4.pace import clock_time, read_duration
from kaggle_hw4.progress import Progress, no_bar
from kaggle_hw4.signals import stopping_after, unwind
from kaggle_hw4.training.loop import train_run
from tests.conftest import TINY, Silent, job, tiny, trained
from tests.test_cli import run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_training import bits

CPU = torch.device("cpu")


def test_durations_are_hours_minutes_and_seconds() -> None:
    texts = ("90s", "90m", "11h", "1h30m", "1h0m5s")
    assert [read_duration(text, "x") for text in texts] == [90, 5400, 39600, 5400, 3605]


@pytest.mark.parametrize(
    "text", ["", "90", "0m", "1.5h", "-1h", "h", "30m1h", "1d", "9" * 99 + "h"]
)
def test_what_is_no_duration_is_refused_with_the_option_and_examples(
    text: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="no duration; write 90s"):
        read_duration(text, "stop_after")
    assert run("train", "boss", f"--stop-after={text}") == 2
    assert capsys.readouterr().err.startswith("hw4: --stop-after: ")


def test_a_time_of_another_day_has_its_date() -> None:
    assert len(clock_time()) == 5
    assert len(clock_time(30 * 3600)) > 5


def test_the_deadline_wakes_what_sleeps_and_a_block_that_has_ended_is_left_alone() -> None:
    before = {number: signal.signal(number, unwind) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        start = time.monotonic()
        with pytest.raises(Stopped), stopping_after(0.1):
            time.sleep(60)
        assert time.monotonic() - start < 30
        with stopping_after(0.1):
            pass
        time.sleep(0.2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_command_stops_when_its_time_is_over_and_resumes(workspace: Path) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    settings = [x for s in (*TINY, "schedule.steps=100000", "schedule.validate_every=100000")
                for x in ("-s", s)]  # fmt: skip
    command = [sys.executable, "-m", "kaggle_hw4", "train", "strong", *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for first in ("starts", "resumes"):
        done = subprocess.run([*command, "--stop-after", "8s"], env=environment, check=False,
                              capture_output=True, text=True, timeout=100)  # fmt: skip
        assert done.returncode == 75, done.stderr
        assert "; stops at " in done.stderr.splitlines()[0]
        assert f": {first}" in done.stderr
        assert "checkpoint written; the same command resumes it" in done.stderr


class SignalIn(Silent):
    """A monitor that sends its own process SIGTERM when the stage of this number begins."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        self.stages = stage

    def bar(self, name: str) -> Progress:
        self.stages -= 1
        if not self.stages:
            os.kill(os.getpid(), signal.SIGTERM)
        return no_bar(name)


@pytest.mark.parametrize(
    ("stage", "where"),
    [(1, "after step 2"), (2, "stopped"), (3, "in its prediction"), (4, "in its prediction")],
)
def test_a_validation_is_finished_and_a_prediction_ended_at_once(
    corpus: Corpus, folds: Folds, tmp_path: Path, stage: int, where: str
) -> None:
    recipe = tiny("boss")
    stopped = job(recipe, corpus, folds, tmp_path / "stopped")
    with pytest.raises(Stopped, match=f"{where}.*resumes it"):
        train_run(*stopped, CPU, SignalIn(stage))
    assert not stopped.run.done
    train_run(*stopped, CPU, Silent())
    assert bits(stopped.run) == bits(trained(recipe, corpus, folds, tmp_path / "whole"))
