"""The command proposed next can be typed as it stands, and does what is missing."""

import shlex
from pathlib import Path

import pytest

from kaggle_hw4.cli import hints
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture


def proposed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What comes next after a command that succeeds."""
    capsys.readouterr()
    assert run(*arguments) == 0
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("next: ")]
    return line.removeprefix("next: ")


def test_after_one_fold_the_others_are_proposed_with_its_settings_and_table(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    assert proposed(capsys, "split", "--folds", "3", "--by", "session").endswith("--folds all")
    then = proposed(capsys, "train", "boss", "--fold", "1", "--seed", "4", *SETTINGS)
    assert then.startswith("hw4 train boss --folds 0,2 --seed 4 -s networks.count=1 ")
    assert "--split" not in then
    after = proposed(capsys, *shlex.split(then)[1:])
    assert after == "hw4 ensemble runs/*"
    assert len(list((workspace / "runs").glob("*/fold*/run.json"))) == 3


def test_with_two_fold_tables_the_right_one_is_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    assert run("split", "--folds", "2", "--by", "session") == 0
    assert proposed(capsys, "split", "--folds", "2", "--by", "utterance") == (
        "hw4 train boss --folds all --split utterance2"
    )
    then = proposed(capsys, "train", "boss", "--split", "session2", *SETTINGS)
    assert then.endswith("--split session2")
    assert proposed(capsys, *shlex.split(then)[1:]) == "hw4 ensemble runs/* --split session2"


def test_the_workspace_of_a_command_is_that_of_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = Path(__file__).parent.parent / "examples" / "past_scores.csv"
    for words in (("--workspace", str(tmp_path)), (f"--workspace={tmp_path}",)):
        command = ("leaderboard", "import", str(scores), *words)
        assert proposed(capsys, *command) == f"hw4 leaderboard show --workspace {tmp_path}"


def test_a_dry_run_proposes_the_same_command_without_it(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2", "--by", "session")
    run("train", "boss", *SETTINGS)
    words = ("ensemble", str(workspace / "runs"), "--label", "My-blend")
    then = proposed(capsys, *words, "--dry-run")
    assert shlex.split(then) == ["hw4", *words]
    assert proposed(capsys, *shlex.split(then)[1:]) == "hw4 submit My-blend_V1"
    assert run(*words[:2], "--label", "My blend", "--dry-run") == 2, "what it proposes must work"


def test_a_command_of_many_files_is_not_printed_again() -> None:
    hints.remember(["ensemble", *(f"runs/boss-{i:08x}" for i in range(40)), "--dry-run"])
    assert hints.same_command("--dry-run") == "the same without --dry-run"
