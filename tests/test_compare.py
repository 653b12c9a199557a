"""hw4 compare: two groups, or every two of several, by path or by variant."""

import json
from itertools import count
from pathlib import Path

import pytest

from kaggle_hw4.stages.compare import compare_groups, find_groups, holm
from kaggle_hw4.workspace import Workspace
from tests.test_cli import DIFFERENCE, SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_layout import printed, without_style


@pytest.fixture
def trained(workspace: Path) -> Workspace:
    """Both folds of Strong, fold 0 of Boss and of a wider Boss."""
    assert run("split", "--folds", "2", "--by", "session") == 0
    assert run("train", "strong", "--folds", "all", *SETTINGS) == 0
    for settings in ((), ("-s", "networks.d_ffn=24")):
        assert run("train", "boss", *SETTINGS, *settings) == 0
    return Workspace(workspace)


def test_several_groups_are_compared_two_by_two_with_standard_errors(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("compare", trained.runs) == 0
    shown = capsys.readouterr()
    for expected in ("s.e.", "1 - 2", "1 - 3", "2 - 3", "p, Holm"):
        assert expected in shown.out
    assert "has not been trained on fold 1: left out for all" in shown.err
    assert shown.err.count("left out for all") == 2
    assert run("compare", trained.runs, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert set(values) == {"groups", "by", "pairs"}
    accuracies = [group["accuracy"] for group in values["groups"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert set(values["pairs"][0]) == {"first", "second", "p_holm", *DIFFERENCE}


def test_a_variant_means_all_its_recipes(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    strong, *boss = find_groups(trained, ["strong", "boss"])
    assert [path.name.partition("-")[0] for path in (strong, *boss)] == ["strong", "boss", "boss"]
    by_path = compare_groups(trained, [strong, *boss])
    assert [pair.difference for pair in by_path.pairs]
    capsys.readouterr()
    assert run("compare", "--variant", "boss", "--json") == 0
    two = json.loads(capsys.readouterr().out)
    assert [Path(side["path"]) for side in two["runs"]] == boss
    assert run("compare", "strong") == 2
    assert "there is one group alone to compare" in capsys.readouterr().err
    assert run("compare") == 2
    assert "hw4 compare strong boss" in capsys.readouterr().err


def test_a_recipe_without_a_finished_run_is_named_or_left_out_of_its_variant(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    boss = sorted(trained.runs.glob("boss-*"))
    (boss[0] / "fold0-seed0" / "run.json").unlink()
    assert len(find_groups(trained, ["strong", "boss"])) == 2
    assert run("compare", "strong", boss[0]) == 4
    assert f"{boss[0]}: there is no finished run (1 unfinished)" in capsys.readouterr().err


def test_predict_and_ensemble_take_a_variant(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("predict", "boss", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run("ensemble", "--variant", "strong", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == "Strong_V1"
    assert run("ensemble", "medium") == 2
    assert "medium is no folder of runs" in capsys.readouterr().err


def test_compare_and_ensemble_show_their_progress_and_leave_stdout_alone(
    trained: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0, 40)  # every look at the clock is 40 s later than the one before
    monkeypatch.setattr("kaggle_hw4.pace.time.monotonic", lambda: next(clock))
    for command, *stages in (
        ("compare", "members: 0 of 1", "calibration: 1 of 3", "differences: 1 of 3"),
        ("ensemble", "members: 1 of 3", "calibration: 0 of 1", "test set: 0 of 1"),
    ):
        capsys.readouterr()
        assert run(command, trained.runs, "--json") == 0
        shown = capsys.readouterr()
        json.loads(shown.out)
        for stage in stages:
            assert stage in shown.err, command


def test_members_and_runs_are_a_row_each_on_80_columns(
    trained: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    blend = without_style(printed(monkeypatch, 80, "ensemble", "strong"))
    assert "Strong_V1: 2 folds by session" in blend
    assert "Boss_V1: 1 fold by session" in printed(monkeypatch, 80, "ensemble", "boss")
    [member] = [line for line in blend.splitlines() if "-seed0" in line]
    assert member.rstrip().endswith(" best")
    runs = without_style(printed(monkeypatch, 80, "predict", "strong"))
    assert len([line for line in runs.splitlines() if line.rstrip().endswith(" s")]) == 2


def test_runs_diff_takes_a_variant_that_has_been_trained_by_one_recipe(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    boss = sorted(trained.runs.glob("boss-*"))
    capsys.readouterr()
    assert run("runs", "diff", "strong", boss[0]) == 0
    assert "networks.pooling" in capsys.readouterr().out
    assert run("runs", "diff", "strong", "boss") == 2
    expected = f"boss has been trained by 2 recipes; name one: {boss[0]}, {boss[1]}"
    assert expected in capsys.readouterr().err


def test_p_values_are_corrected_for_their_number() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
