"""Progress: plain lines without a terminal, bars with one, nothing where it is not wanted."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.progress import Progress, TextColumn

from kaggle_hw4 import artifact
from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.execution.local import InProcess
from kaggle_hw4.execution.spec import Asked, RunSpec
from kaggle_hw4.pace import Speed, Verbosity, in_words, rate_of, set_verbosity
from kaggle_hw4.progress import Bars, Lines, fit, waiting
from kaggle_hw4.stages.split import split
from kaggle_hw4.stages.train import train
from kaggle_hw4.training.loop import train_run
from kaggle_hw4.tuning.plan import make_plan
from kaggle_hw4.workspace import Workspace
from tests.conftest import TINY, job, tiny
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture


@pytest.fixture(autouse=True)
def normal() -> Iterator[None]:
    yield
    set_verbosity(Verbosity.NORMAL)


def said(monitor: Lines, steps: int = 100) -> None:
    monitor.begin("boss/fold0", 0, steps)
    for step in range(1, steps + 1):
        monitor.advance(step)
        if step == 1 or step % 25 == 0:
            monitor.report(step, {"loss": 2.0, "accuracy": 0.5})
    monitor.report(steps, {"loss": 1.0, "accuracy": 0.5, "validation_accuracy": 0.25})
    monitor.end(0.25, 120.0)


def test_a_log_has_the_start_the_first_step_validations_and_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said(Lines())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "boss/fold0: starts, 100 steps in all"
    assert lines[1].startswith("boss/fold0: step 1 of 100, loss 2.000, accuracy 0.500")
    assert "step 100 of 100, loss 1.000, accuracy 0.500, validation 0.25000, " in lines[2]
    assert "steps/s" in lines[2]
    assert lines[3] == "boss/fold0: finished in 2 min, validation 0.25000"
    assert len(lines) == 4, "what comes within half a minute is left out"


def test_verbose_is_a_line_for_every_report_and_quiet_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_verbosity(Verbosity.VERBOSE)
    said(Lines())
    assert len(capsys.readouterr().err.splitlines()) == 8
    set_verbosity(Verbosity.QUIET)
    said(Lines())
    assert capsys.readouterr().err == ""


def test_a_slow_stage_says_how_far_it_is_and_a_fast_one_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = Lines().bar("pack")
    for done in range(1, 101):
        progress(done, 100)
    assert capsys.readouterr().err == ""
    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr("kaggle_hw4.pace.time.monotonic", lambda: next(clock))
    progress = Lines().bar("pack")
    for done in range(1, 101):
        progress(done, 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("pack: ")
    assert " of 100, " in lines[0]
    assert lines[0].endswith(" left")
    assert lines[-1].startswith("pack: 100 of 100, ")


def test_a_rate_has_its_unit() -> None:
    assert [rate_of(rate, "step") for rate in (12.34, 0.5, 0)] == ["12.3 steps/s", "2.0 s/step", ""]
    assert [in_words(s) for s in (59, 600, 7200)] == ["59 s", "10 min", "2.0 h"]
    assert Speed().left(10) == ""


def test_a_bar_shows_the_first_step_at_once_in_80_columns() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    shown = Progress(TextColumn("{task.fields[figures]}"), console=console)
    monitor = Bars(shown)
    monitor.begin("boss-1a2b3c4d/fold0-seed0", 0, 1500)
    assert shown.tasks[0].fields["figures"] == "0/1,500"
    monitor.advance(1)
    monitor.report(1, {"loss": 6.4, "accuracy": 0.0})
    assert shown.tasks[0].completed == 1
    assert shown.tasks[0].fields["figures"].startswith("1/1,500")
    assert "loss 6.400" in shown.tasks[0].fields["figures"]
    assert fit(["25/1,500", "val 0.5", "loss 2"], 16) == "25/1,500 val 0.5"


def test_what_takes_seconds_to_begin_is_shown_until_it_has_begun() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    shown = Progress(TextColumn("{task.description}"), console=console)
    monitor = Bars(shown, "compare")
    progress = monitor.bar("members")
    assert [task.description for task in shown.tasks if task.visible] == ["compare"]
    progress(0, 3)
    assert [task.description for task in shown.tasks if task.visible] == ["members"]


class Named(Lines):
    """Remembers the names of the stages and the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []
        self.steps: list[int] = []

    def bar(self, name: str):  # type: ignore[no-untyped-def]
        self.stages.append(name)
        return super().bar(name)

    def advance(self, step: int) -> None:
        self.steps.append(step)


def test_every_step_and_every_prediction_of_a_training_is_shown(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    monitor = Named()
    parts = job(tiny("boss", "predict.spreading_neighbours=3"), corpus, folds, tmp_path)
    train_run(*parts, torch.device("cpu"), monitor)
    assert monitor.steps == [1, 2, 3, 4]
    assert monitor.stages.count("prediction") == 5, "two validations and three sets"
    assert monitor.stages.count("label spreading") == 3


def test_every_long_stage_of_a_split_is_shown(workspace: Path) -> None:
    monitor = Named()
    split(Workspace(workspace), "auto", 2, 0, monitor.bar)
    measured = ["seen sessions", "unseen sessions", "test set"]
    assert monitor.stages == ["opening (MB)", *measured, "sessions", "near-duplicates"]


def test_packing_and_opening_a_corpus_are_shown(synthetic: Path, tmp_path: Path) -> None:
    counts: dict[str, list[tuple[int, int | None]]] = {}

    def bar(name: str):  # type: ignore[no-untyped-def]
        seen = counts.setdefault(name, [])
        return lambda done, total: seen.append((done, total))

    corpus = pack(synthetic, tmp_path / "packed", bar=bar)
    n = len(corpus.ids)
    assert counts["pack"] == [(done, n) for done in range(n + 1)], (
        "channels are described meanwhile"
    )
    megabytes = (corpus.folder / "frames.bin").stat().st_size // 10**6
    assert counts["opening (MB)"][-1] == (megabytes, megabytes)
    monitor = Named()
    assert pack(synthetic, tmp_path / "packed", bar=monitor.bar).hash == corpus.hash
    assert monitor.stages == ["opening (MB)"]


def test_opening_before_a_training_and_a_study_is_shown(workspace: Path) -> None:
    monitor, place = Named(), Workspace(workspace)
    split(place, "utterance", 2, 0, monitor.bar)
    spec = RunSpec(str(workspace), "boss", TINY)
    train(Asked(spec, [0]), InProcess(monitor), monitor.bar)
    assert monitor.stages[:3] == ["opening (MB)", "opening (MB)", "prediction"]
    asked = {"space": None, "objective": "utterance", "split": None, "name": None}
    make_plan(place, "boss", [], **asked, bar=monitor.bar)
    assert monitor.stages[-1] == "opening (MB)"


def test_a_large_file_is_hashed_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "BLOCK", 4)
    (tmp_path / "a").write_bytes(b"0123456789")
    reports: list[tuple[int, int]] = []
    sha256 = artifact.sha256_file(tmp_path / "a", lambda *report: reports.append(report))
    assert sha256 == hashlib.sha256(b"0123456789").hexdigest()
    assert reports == [(4, 10), (8, 10), (10, 10)]
    artifact.verify(tmp_path / "a", sha256, "", lambda *report: reports.append(report))
    artifact.verify(tmp_path / "a", sha256, "", lambda *report: reports.append(report))
    assert len(reports) == 6, "a file that has not changed is hashed once"


def test_quiet_stands_anywhere_and_leaves_the_result(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session", "--quiet") == 0
    assert run("--quiet", "train", "--variant", "boss", *SETTINGS) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "fold0-seed0" in printed.out
    assert run("train", "--variant", "boss", "--verbose", "--seed", "1", *SETTINGS) == 0
    assert ": step 2 of 4, loss" in capsys.readouterr().err


def test_what_is_waited_for_is_a_line_each_time_that_it_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with waiting() as status:
        for text in (
            "output.csv: pending",
            "output.csv: pending",
            "lost\x1b[1m",
            "output.csv: done",
        ):
            status(text)
    assert capsys.readouterr().err.splitlines() == [
        "output.csv: pending", "lost\\x1b[1m", "output.csv: done"
    ]  # fmt: skip
