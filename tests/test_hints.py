"""The command proposed next can be typed as it stands, and does what is missing."""

import shlex
from pathlib import Path

import pytest

from kaggle_hw4.cli import hints
from kaggle_hw4.errors import BoardError
from kaggle_hw4.kaggle.client import SIGN_IN
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


def test_of_a_setting_that_is_laid_over_another_the_last_is_proposed(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)
    run("split", "--folds", "2", "--by", "session")
    capsys.readouterr()
    then = proposed(capsys, "train", "boss", *SETTINGS, "-s", "schedule.steps=3")
    assert then.count("schedule.steps=") == 1
    assert " -s schedule.steps=3" in then


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


def test_in_an_empty_workspace_every_hint_is_the_step_that_is_missing(
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`workspace` has a corpus; another has not even that."""
    monkeypatch.chdir(workspace)
    empty = tmp_path / "empty"
    place = ("--workspace", str(empty))
    for command in (("runs",), ("leaderboard", "show"), ("report",)):
        assert proposed(capsys, *command, *place) == f"hw4 data download {' '.join(place)}"
        assert proposed(capsys, *command) == "hw4 split --folds 5"
    (empty / "Dataset").mkdir()
    assert proposed(capsys, "runs", *place).startswith(f"hw4 data pack {empty / 'Dataset'} ")
    run("split", "--folds", "2", "--by", "session")
    for command in (("runs",), ("leaderboard", "show"), ("report",)):
        assert proposed(capsys, *command) == "hw4 train boss --folds all"


def test_from_another_folder_the_runs_are_named_by_their_path(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2", "--by", "session")
    run("train", "strong", "--fold", "all", *SETTINGS)
    expected = f"hw4 ensemble {workspace / 'runs'}/*"
    assert proposed(capsys, "runs") == expected
    assert proposed(capsys, "predict", "strong") == expected
    assert proposed(capsys, "leaderboard", "show") == expected
    assert run("ensemble", "runs/*") == 2
    shown = capsys.readouterr().err
    assert shown == f"hw4: nothing is called runs/*; the runs are in {workspace / 'runs'}\n"
    assert run("runs", "--unfinished") == 0
    assert capsys.readouterr() == ("no unfinished runs\n", "")


def test_a_training_that_has_nothing_to_do_says_so(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("split", "--folds", "2", "--by", "session")
    run("train", "strong", "--fold", "1", *SETTINGS)
    assert "trained before" not in capsys.readouterr().err
    run("train", "strong", "--fold", "0,1", *SETTINGS)
    [line] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("trained before")]
    assert line.count("/fold") == 1
    assert line.endswith("/fold1-seed0")


def test_without_credentials_a_submission_can_be_sent_by_hand(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BoardError("no credentials", SIGN_IN)

    monkeypatch.setattr("kaggle_hw4.stages.submit.send", refuse)
    assert run("submit") == 5
    assert "`hw4 submit --to web` says where" in capsys.readouterr().err
