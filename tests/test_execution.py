"""A RunSpec is trained wherever an executor sends it, and its result is the run's folder."""

import os
import signal
import time
from pathlib import Path

import pytest

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.errors import FAULT, DataError, RecipeError, Stopped, UsageError
from kaggle_hw4.execution.executor import RETRIES, Handle, Outcome, run_all
from kaggle_hw4.execution.local import InProcess, Process, Subprocesses, share_of_threads
from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.execution.worker import prepare
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.train import train
from tests.conftest import TINY, Silent


@pytest.fixture
def spec(corpus: Corpus, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """A tiny run on the shared corpus, its folder below tmp_path."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "packed").symlink_to(corpus.folder)
    write_folds(tmp_path / "folds", folds, corpus)
    return RunSpec(str(tmp_path), "strong", TINY)


def test_a_spec_survives_its_own_json(spec: RunSpec) -> None:
    assert RunSpec.from_json(spec.to_json()) == spec
    both = spec.over([1, 0, 1], [3, 4])
    assert [(each.fold, each.seed) for each in both] == [(1, 3), (0, 3), (1, 4), (0, 4)]


def test_a_process_of_its_own_gives_the_bits_of_this_one(spec: RunSpec, tmp_path: Path) -> None:
    elsewhere = RunSpec(**{**vars(spec), "runs": str(tmp_path / "elsewhere")})
    run_all(InProcess(Silent()), [spec])
    outcome = run_all(Subprocesses(threads=1), [elsewhere])[elsewhere]
    runs = [prepare(each).run for each in (spec, elsewhere)]
    assert outcome.result().validation == runs[0].manifest().validation
    for name in ("ema", "oof", "test"):
        one, other = (sha256_file(run.folder / f"{name}.safetensors") for run in runs)
        assert one == other


def test_a_stage_trains_every_fold_with_every_seed_once(spec: RunSpec) -> None:
    runs = train(Asked(spec, seeds=(0, 1)), InProcess(Silent()))
    assert [(each.run.fold, each.run.seed) for each in runs] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert len({each.manifest.sha256["ema.safetensors"] for each in runs}) == 4
    with pytest.raises(UsageError, match="has 0 to 1") as caught:
        train(Asked(spec, [0, 2]), InProcess(Silent()))
    assert caught.value.parameter == "fold"


class Crashing:
    """An executor whose processes are killed as soon as they start, that many times."""

    jobs = 1

    def __init__(self, times: int) -> None:
        self.times, self.submitted = times, 0

    def submit(self, spec: RunSpec) -> Handle:
        process = Process(spec, prepare(spec).run, threads=1)
        self.submitted += 1
        if self.submitted <= self.times:
            process.stop(signal.SIGKILL)
        return process


def test_a_crashed_run_is_retried_and_then_given_up(spec: RunSpec) -> None:
    executor = Crashing(times=1)
    assert run_all(executor, [spec])[spec].manifest
    assert executor.submitted == 2
    other = RunSpec(**{**vars(spec), "seed": 1})
    executor = Crashing(times=99)
    with pytest.raises(DataError, match="killed by SIGKILL"):
        run_all(executor, [other])
    assert executor.submitted == RETRIES + 1


def test_a_recipe_that_diverges_is_an_outcome_and_the_rest_is_trained(spec: RunSpec) -> None:
    settings = (*TINY, "optimizer.learning_rate=1e30", "schedule.steps=8")
    diverging = RunSpec(**{**vars(spec), "variant": "simple", "settings": settings})
    outcomes = run_all(Subprocesses(threads=1), [diverging, spec])
    assert outcomes[diverging].code == RecipeError.exit_code
    assert "the training diverged" in outcomes[diverging].reason
    assert outcomes[spec].manifest
    with pytest.raises(RecipeError, match="diverged"):
        outcomes[diverging].result()


def test_what_would_fail_for_all_is_raised(spec: RunSpec) -> None:
    with pytest.raises(UsageError, match="no fold table 'session9'"):
        run_all(Subprocesses(threads=1), [RunSpec(**{**vars(spec), "split": "session9"})])


def test_a_stop_leaves_runs_that_resume(spec: RunSpec) -> None:
    slow = RunSpec(**{**vars(spec), "settings": (*TINY, "schedule.steps=100000")})

    class Stopping(Subprocesses):
        def submit(self, spec: RunSpec) -> Process:
            process = super().submit(spec)
            while not process.run.checkpoint.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            return process

    with pytest.raises(Stopped, match="the same command resumes it"):
        run_all(Stopping(threads=1), [slow])
    assert prepare(slow).run.checkpoint.exists()
    assert not prepare(slow).run.done


def test_an_outcome_becomes_the_error_that_it_was() -> None:
    run = Run(Path("runs/strong-1/fold0-seed0"))
    for kind in (UsageError, RecipeError, DataError, Stopped):
        assert type(Outcome(run, None, kind.exit_code, "why").error) is kind
    assert Outcome(run, None, -9).crashed
    assert "fold0-seed0 has the traceback" in str(Outcome(run, None, FAULT, "why").error)


@pytest.mark.parametrize(
    ("value", "threads"),
    [("4,2", 4), ("8", 8), (" 6 ", 6), ("many", None), ("0", None), ("9" * 5000, None)],
)
def test_threads_are_what_openmp_takes_them_for(
    monkeypatch: pytest.MonkeyPatch, value: str, threads: int | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    expected = threads or share_of_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert share_of_threads(1) == expected
