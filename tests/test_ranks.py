"""One training by several processes: the same batches and losses, one writer, no loss by a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.errors import UsageError
from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.models.dropout import Draws, Dropout
from kaggle_hw4.ranks import JoinedRanks, Ranks, leave, meet
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.train import in_time, time_given
from kaggle_hw4.training.loop import train_run
from tests.conftest import SHAPES, TINY, Silent, job, tiny, trained
from tests.held import COMMAND, Hold
from tests.test_training import bits

CPU = torch.device("cpu")
TOLERANCE = 1e-5
# Short utterances end before their segments do: some batches have masks, BatchNorm's included.
MASKED = (
    "segments.frames=110",
    "segments.min_fraction=0.7",
    "augment.noise=0.8",
    "augment.mixup=0.5",
)
UNMASKED = ("segments.frames=40", "augment.channel_swap=0.5", "augment.freq_masks=1")
COMMON = (
    "networks.dropout=0.2",
    "segments.batch_size=7",  # which neither 2 nor 3 divides
    "optimizer.learning_rate=3e-4",
)


def settings_of(variant: str, *more: str) -> tuple[str, ...]:
    return (*SHAPES.get(variant, TINY), *COMMON, *more)


class Started:
    """`torchrun … hw4 train` in a workspace of its own."""

    def __init__(
        self,
        count: int,
        corpus: Corpus,
        folds: Folds,
        folder: Path,
        variant: str,
        *settings: str,
        restarts: int = 0,
        held: bool = False,
    ) -> None:
        self.hold = Hold(folder) if held else None
        shutil.copytree(corpus.folder, folder / "packed")
        write_folds(folder / "folds", folds, corpus)
        recipe, stem = tiny(variant, *settings), Path(variant).stem
        self.job = job(recipe, corpus, folds, folder / "runs", variant=stem)
        self.run = self.job.run
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(count), "--max-restarts", str(restarts)]
        command += [*(COMMAND if held else ("-m", "kaggle_hw4")), "train", variant, "--json"]
        for setting in settings:
            command += ["-s", setting]
        environment = os.environ | {"HW4_WORKSPACE": str(folder), "OMP_NUM_THREADS": "1"}
        environment |= self.hold.environment if self.hold else {}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)  # type: ignore[call-overload]

    def wait(self) -> tuple[int, str, str]:
        """The exit code, stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=120)
        finally:
            self.process.kill()
        return self.process.returncode, out, err

    def signal(self, rank: int, number: int) -> None:
        """Send a signal to a process of a training that is held after its first checkpoint."""
        assert self.hold
        self.hold.wait(self.process, 60)
        os.kill(self.process_of(rank), number)
        self.hold.release()

    def process_of(self, rank: int) -> int:
        """The id of the process that is this rank."""
        own = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        for number in map(int, Path(own).read_text().split()):
            if f"RANK={rank}".encode() in Path(f"/proc/{number}/environ").read_bytes().split(b"\0"):
                return number
        raise AssertionError(f"no rank {rank}")


def losses(run: Run) -> dict[float, float]:
    return {line["step"]: line["loss"] for line in run.logged()}


def ids(run: Run, name: str) -> tuple[str, ...]:
    return run.read_logits(name).ids


@pytest.mark.parametrize(
    ("count", "variant", "settings"), [(2, "boss", MASKED), (3, "champion", UNMASKED)]
)
def test_losses_and_predictions_are_those_of_a_single_process(
    corpus: Corpus, folds: Folds, tmp_path: Path, count: int, variant: str, settings: tuple[str]
) -> None:
    every = settings_of(variant, *settings, "schedule.steps=20", "schedule.validate_every=2")
    started = Started(count, corpus, folds, tmp_path / "many", variant, *every)
    single = trained(tiny(variant, *every), corpus, folds, tmp_path, variant=variant)
    code, out, err = started.wait()
    assert code == 0, err
    [shown] = json.loads(out)
    assert shown["steps"] == 20, "the first rank alone prints"
    assert losses(started.run) == pytest.approx(losses(single), abs=TOLERANCE)
    assert len(losses(single)) == 10
    for name in ("oof", "seen_session", "test"):
        assert ids(started.run, name) == ids(single, name)
        a, b = (run.read_logits(name).values for run in (started.run, single))
        np.testing.assert_allclose(a, b, atol=0.05)
    assert {path.name for path in started.run.folder.iterdir()} == {
        path.name for path in single.folder.iterdir()
    }


def test_a_run_stopped_on_two_resumes_on_one(corpus: Corpus, folds: Folds, tmp_path: Path) -> None:
    every = settings_of("boss", *MASKED, "schedule.steps=30", "schedule.validate_every=8")
    started = Started(2, corpus, folds, tmp_path / "many", "boss", *every, held=True)
    started.signal(1, signal.SIGTERM)
    _, out, err = started.wait()
    assert not out and not started.run.done
    [stopped] = [line for line in err.splitlines() if line.startswith("hw4:")]
    assert "checkpoint written; the same command resumes it" in stopped
    monitor = Silent()
    train_run(*started.job, CPU, monitor)
    assert f"stopped after step {monitor.done}," in stopped
    single = trained(tiny("boss", *every), corpus, folds, tmp_path, variant="boss")
    assert losses(started.run) == pytest.approx(losses(single), abs=TOLERANCE)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_killed_rank_ends_the_others_and_the_run_resumes(
    corpus: Corpus, folds: Folds, tmp_path: Path, rank: int
) -> None:
    every = settings_of("boss", *MASKED, "schedule.steps=20", "schedule.validate_every=4")
    started = Started(2, corpus, folds, tmp_path / "many", "boss", *every, held=True)
    started.signal(rank, signal.SIGKILL)
    code, _, err = started.wait()
    [lost] = [line for line in err.splitlines() if line.startswith("hw4:")]
    assert f"process {1 - rank} cannot train on: another one has ended" in lost
    assert code and not started.run.done
    monitor = Silent()
    train_run(*started.job, CPU, monitor)
    assert monitor.done >= 4
    single = trained(tiny("boss", *every), corpus, folds, tmp_path, variant="boss")
    assert losses(started.run) == pytest.approx(losses(single), abs=TOLERANCE)


def test_torchrun_restarts_lost_processes_and_the_bits_are_those_of_an_unbroken_run(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    every = settings_of("boss", *MASKED, "schedule.steps=20", "schedule.validate_every=4")
    unbroken = Started(2, corpus, folds, tmp_path / "unbroken", "boss", *every)
    assert unbroken.wait()[0] == 0
    lost = tmp_path / "lost"
    started = Started(2, corpus, folds, lost, "boss", *every, restarts=2, held=True)
    started.signal(0, signal.SIGKILL)
    code, out, err = started.wait()
    assert code == 0, err
    assert out.count('"steps"') == 1, err  # a process that fails at its end is started once more
    assert json.loads(out)[0]["steps"] == 20
    assert [line for line in err.splitlines() if "resumes after step" in line], err
    assert bits(started.run) == bits(unbroken.run)
    assert losses(started.run) == losses(unbroken.run)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_losses_are_those_of_a_single_process_over_200_steps(
    corpus: Corpus, folds: Folds, tmp_path: Path, count: int
) -> None:
    # Rounding grows from step to step, and the faster the higher the learning rate is.
    rate = "optimizer.learning_rate=1e-4"
    steps = ("schedule.steps=200", "schedule.validate_every=10", rate)
    every = settings_of("boss", *MASKED, *steps)
    started = Started(count, corpus, folds, tmp_path / "many", "boss", *every)
    assert started.wait()[0] == 0
    single = trained(tiny("boss", *every), corpus, folds, tmp_path, variant="boss")
    assert losses(started.run) == pytest.approx(losses(single), abs=TOLERANCE)
    assert ids(started.run, "oof") == ids(single, "oof")


@pytest.mark.parametrize(("size", "count"), [(7, 2), (7, 3), (64, 3), (4, 4)])
def test_every_row_of_a_batch_is_one_ranks(size: int, count: int) -> None:
    parts = [JoinedRanks(rank, count).rows(size) for rank in range(count)]
    assert [row for part in parts for row in range(size)[part]] == list(range(size))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert range(size)[Ranks().rows(size)] == range(size)


@pytest.mark.parametrize("blocks", [1, 3])  # of each row: truncated attention drops in blocks
def test_a_rank_draws_the_dropout_of_its_rows(blocks: int) -> None:
    dropout, x = Dropout(0.3), torch.ones(7 * blocks, 5, 9)
    dropout.draws = Draws(seed=3, step=11)
    whole = dropout(x)
    for rank in range(3):
        rows = JoinedRanks(rank, 3).rows(7)
        dropout.draws = Draws(3, 11, rows.start, rows.stop - rows.start, 7)
        own = slice(rows.start * blocks, rows.stop * blocks)
        assert torch.equal(dropout(x[own]), whole[own])


def test_restarted_ranks_see_nothing_that_the_lost_ones_have_stored() -> None:
    store, restarted = dist.HashStore(), []
    with ThreadPoolExecutor(3) as threads:
        for start in ("lost", "restarted"):
            # The others first: what the first rank of the last start has stored is still there.
            parts = [threads.submit(meet, store, rank, 3) for rank in (2, 1, 0)]
            for part in parts:
                assert not part.result().check(["address"])
            restarted = [part.result() for part in parts]
            restarted[0].set("address", start)
    assert [part.get("address") for part in restarted] == [b"restarted"] * 3


def test_nobody_leaves_before_all_are_done_and_the_first_leaves_last() -> None:
    store = dist.HashStore()
    with ThreadPoolExecutor(3) as threads:
        first, second = (threads.submit(leave, store, rank, 3) for rank in (0, 1))
        time.sleep(0.3)
        assert not first.done() and not second.done()
        store.set("here/2", "")  # the third is done, and has not left yet
        second.result(timeout=10)
        time.sleep(0.3)
        assert not first.done()
        store.set("gone/2", "")
        first.result(timeout=10)


def test_what_stops_after_a_time_is_not_for_torchrun_to_restart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in {**variables, "WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["train", "boss", "--stop-after", "1h"])
    assert ended.value.code == UsageError.exit_code
    assert "leave it out, or torchrun's --max-restarts" in capsys.readouterr().err


def test_a_time_limit_is_for_a_single_process() -> None:
    asked, given = Asked(RunSpec(".", "boss")), time_given("1h")
    with (
        pytest.raises(UsageError, match="no time limit.*; leave it out under torchrun"),
        in_time([asked], given, Silent(), ranks=JoinedRanks(0, 2)),
    ):
        raise AssertionError


def test_torchrun_is_for_train_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {"RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in {**variables, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["split"])
    assert ended.value.code == UsageError.exit_code
    assert "torchrun is for `hw4 train`" in capsys.readouterr().err
