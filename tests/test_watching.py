"""The live table of a study."""

import io
from pathlib import Path

import optuna
import pytest
from rich.console import Console

from kaggle_hw4.cli.watching import LiveTable, curve
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.tuning.coordinator import RunningTrial
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Space
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny


def test_a_curve_goes_from_its_lowest_to_its_highest() -> None:
    assert curve([0.1, 0.5, 0.3]) == "▁█▄ 0.3000"
    assert curve([0.2]) == "▁ 0.2000"
    assert curve([]) == ""


def test_the_table_shows_the_best_the_counts_and_the_running_ones(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    target = OBJECTIVES["session"]
    plan = Plan(
        Workspace(tmp_path), "boss", tiny("boss"), Space("x"), target, corpus, folds, "s", trials=9
    )
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), 0.75)
    study.tell(study.ask(), state=optuna.trial.TrialState.PRUNED)
    running = RunningTrial(study.ask(), handle=None, folder=tmp_path, curve={30: 0.2, 60: 0.4})  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), width=120)
    console.print(LiveTable(lambda *_: None).render(plan, study, [running]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for expected in ("s: 2 of 9 finished", "1 pruned", "best 0.7500 (trial 0)", "▁█ 0.4000", "60"):
        assert expected in text


def test_without_a_terminal_a_study_says_a_line_at_a_pace(
    corpus: Corpus,
    folds: Folds,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = OBJECTIVES["session"]
    plan = Plan(
        Workspace(tmp_path), "boss", tiny("boss"), Space("x"), target, corpus, folds, "s", trials=9
    )
    study = optuna.create_study(direction="maximize")
    study.tell(study.ask(), 0.75)
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("kaggle_hw4.pace.time.monotonic", lambda: next(clock))
    monitor = LiveTable(lambda *_: None)
    for _ in range(6):
        monitor.show(plan, study, [])
    lines = capsys.readouterr().err.splitlines()
    assert 1 < len(lines) < 6
    assert lines[0].startswith("s: 1 of 9 finished, 0 pruned, 0 failed; best 0.7500 (trial 0)")
