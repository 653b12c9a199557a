"""Errors are one line with a code; help is instant and imports nothing heavy."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import imports
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture


def test_without_a_corpus_the_error_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--workspace", tmp_path, "data", "inspect") == 4
    assert "run `hw4 data pack DATASET` first" in capsys.readouterr().err


def test_every_problem_of_a_dataset_is_listed(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(dataset.glob("uttr-*.pt"))[:2]:
        path.write_bytes(b"spoiled")
    assert run("data", "pack", dataset, "--workspace", tmp_path) == 4
    error = capsys.readouterr().err
    assert "2 problems" in error
    assert error.count("\n  uttr-") == 2


def test_an_error_keeps_its_cause_for_those_who_debug(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HW4_DEBUG", "")
    (tmp_path / "broken.toml").write_text("[model")
    command = ("run", tmp_path / "broken.toml", "--workspace", tmp_path)
    assert run(*command) == 3
    assert "Traceback" not in capsys.readouterr().err
    assert run(*command, "--debug") == 3
    shown = capsys.readouterr().err
    assert "TOMLDecodeError" in shown
    assert shown.splitlines()[-1].startswith("hw4: ")


def test_a_fault_of_our_own_is_one_line_and_keeps_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaggle_hw4.kaggle.ledger.Ledger.read", lambda self: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("leaderboard", "show", "--workspace", tmp_path) == 70
    [line] = capsys.readouterr().err.splitlines()
    assert "fault of hw4's own (ZeroDivisionError: division by zero); please report" in line
    assert "ZeroDivisionError" in Path(line.split(" with ")[1]).read_text()


def test_a_flag_is_named_where_an_argument_is_wrong(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2") == 0
    capsys.readouterr()
    assert run("train", "--variant", "boss", "--fold", "7") == 2
    assert capsys.readouterr().err.startswith("hw4: --fold: no fold 7: session2 has 0 to 1")


def test_h_is_help_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ((), ("train",), ("data", "pack"), ("tune", "show")):
        assert run(*command, "-h") == 0
        assert "Usage:" in capsys.readouterr().out


def test_help_is_as_fast_as_importing_typer_and_rich(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 50 ms more, in the least processor time of each: load and caches only add to it.

    Rounds go on until that is seen: a loaded machine takes more of them, a slow command fails.
    """
    # As where it is installed: compiled once.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    help_seconds, import_seconds = [], []
    for _ in range(60):
        help_seconds.append(seconds("-m", "kaggle_hw4", "--help"))
        import_seconds.append(seconds("-c", "import typer, rich"))
        if len(help_seconds) >= 5 and min(help_seconds) < min(import_seconds) + 0.05:
            return
    pytest.fail(f"{min(help_seconds):.3f} s against {min(import_seconds):.3f} s")


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pandas", "sklearn", "pydantic"}
    assert imports(["--help"], heavy) == "[]"


def test_runs_of_another_corpus_are_refused(
    workspace: Path, synthetic: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", *SETTINGS)
    metadata = json.loads((dataset / "metadata.json").read_text())
    next(iter(metadata["speakers"].values())).pop()
    (dataset / "metadata.json").write_text(json.dumps(metadata))
    assert run("data", "pack", dataset, "--replace") == 0
    assert run("ensemble", workspace / "runs") == 4
    assert "was trained on another corpus" in capsys.readouterr().err
    assert run("split", "--folds", "2") == 4
    assert "delete it and run `hw4 split` again" in capsys.readouterr().err


def test_runs_of_two_fold_tables_are_not_mixed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for by in ("session", "utterance"):
        run("split", "--folds", "2", "--by", by)
        run("train", "--variant", "boss", "--split", f"{by}2", *SETTINGS)
    assert run("ensemble", workspace / "runs") == 4
    assert "choose the runs of one fold table" in capsys.readouterr().err


def test_an_edited_submission_is_refused_and_made_anew(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2")
    run("train", "--variant", "boss", "--folds", "all", *SETTINGS)
    run("ensemble", workspace / "runs")
    path = workspace / "submissions" / "output_Boss_V1.csv"
    lines = path.read_text().splitlines()
    names = {line.split(",")[1] for line in lines[1:]} | {"id00000"}
    path.write_text("\n".join([*lines[:-1], f"{lines[-1].split(',')[0]},{min(names)}"]) + "\n")
    assert run("submit", "--to", "web") == 4
    assert "make it again: hw4 ensemble" in capsys.readouterr().err
    assert run("ensemble", workspace / "runs") == 0
    assert run("submit", "--to", "web") == 0
    assert "Boss_V2 is valid" in capsys.readouterr().out
