"""`hw4 runs`: what is there, and what two of them differ in."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import DataError, RecipeError, UsageError
from kaggle_hw4.locks import locked
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.list_runs import diff_runs, differences, list_runs
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained


@pytest.fixture(scope="module")
def place(corpus: Corpus, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Boss on two folds and one of a study, Strong from two seeds; one of Boss is unfinished."""
    root = tmp_path_factory.mktemp("runs")
    runs = root / "runs"
    for fold in (0, 1):
        trained(tiny("boss"), corpus, folds, runs, fold=fold)
    for seed in (0, 1):
        trained(tiny("strong"), corpus, folds, runs, seed=seed, variant="strong")
    trained(tiny("boss", "loss.scale=20.0"), corpus, folds, root / "studies" / "s" / "runs")
    stopped = trained(tiny("boss", "schedule.steps=6"), corpus, folds, runs)
    (stopped.folder / "run.json").unlink()
    return Workspace.at(root)


def test_runs_are_listed_by_recipe_with_what_is_done(place: Workspace) -> None:
    groups = {(g.variant, g.owner, g.finished): g for g in list_runs(place)}
    assert set(groups) == {
        ("boss", None, 2),
        ("boss", None, 0),
        ("boss", "s", 1),
        ("strong", None, 2),
    }
    boss, strong = groups["boss", None, 2], groups["strong", None, 2]
    assert (boss.folds, boss.seeds, boss.fold_count, boss.by) == ((0, 1), (0,), 2, "session")
    assert (strong.folds, strong.seeds) == ((0,), (0, 1))
    manifests = [Run(boss.folder / f"fold{k}-seed0").manifest() for k in (0, 1)]
    hits = sum(m.validation.accuracy * m.validation.n for m in manifests)
    assert boss.validation == pytest.approx(hits / sum(m.validation.n for m in manifests))
    assert boss.seconds == pytest.approx(sum(m.seconds for m in manifests))
    assert boss.bytes == sum(f.stat().st_size for f in boss.folder.glob("*/*"))


def test_a_recipe_is_told_by_its_settings(place: Workspace) -> None:
    [study] = [group for group in list_runs(place) if group.owner]
    assert study.settings is not None
    assert "loss.scale=20.0" in study.settings
    assert "networks.d_model=16" in study.settings
    assert not any(setting.startswith("loss.margin=") for setting in study.settings)


def test_an_unfinished_run_has_its_progress(place: Workspace) -> None:
    [group] = list_runs(place, unfinished=True)
    [run] = group.unfinished
    assert (run.step, run.steps, run.running) == (6, 6, False)
    with locked(group.folder / "fold0-seed0" / ".lock"):
        assert list_runs(place, unfinished=True)[0].unfinished[0].running


def test_runs_are_filtered_and_sorted(place: Workspace) -> None:
    assert {group.variant for group in list_runs(place, variant="strong")} == {"strong"}
    assert list_runs(place, variant="champion") == []
    sizes = [group.bytes for group in list_runs(place, sort="size")]
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(RecipeError, match="there is no variant 'bos'"):
        list_runs(place, variant="bos")
    with pytest.raises(UsageError, match="cannot sort by 'speed'"):
        list_runs(place, sort="speed")


def test_a_damaged_run_is_named_and_the_rest_is_listed(place: Workspace, tmp_path: Path) -> None:
    copy = Workspace.at(shutil.copytree(place.root, tmp_path / "copy"))
    [boss] = [group for group in list_runs(copy, "boss") if group.finished == 2]
    (boss.folder / "fold0-seed0" / "run.json").write_text("{}")
    [again] = [group for group in list_runs(copy, "boss") if group.folder == boss.folder]
    assert again.finished == 1
    assert "fold0-seed0" in again.problems[0]


def test_two_recipes_differ_in_what_was_set(place: Workspace) -> None:
    [boss, study] = [group.folder for group in list_runs(place, "boss") if group.finished]
    settings = diff_runs(place, boss, study).settings
    assert [(s.key, s.first, s.second) for s in settings] in (
        [("loss.scale", 30.0, 20.0)],
        [("loss.scale", 20.0, 30.0)],
    )
    with pytest.raises(DataError, match="holds 3 recipes; name the runs of one"):
        diff_runs(place, place.runs, boss)


def test_networks_that_differ_alike_are_one_setting_and_others_are_numbered() -> None:
    champion = tiny("zoo/two_kinds")
    same = tiny("zoo/two_kinds", "networks.d_model=8")
    one = tiny("zoo/two_kinds", "networks.1.d_model=8")
    assert [s.key for s in differences(champion, same)] == ["networks.d_model"]
    assert [s.key for s in differences(champion, one)] == ["networks.1.d_model"]


def test_the_list_is_a_table_or_json(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["runs"], ["runs", "--json"]):
        with pytest.raises(SystemExit):
            main(["--workspace", str(place.root), *arguments])
    text, values = capsys.readouterr().out.split("\n[\n", 1)
    assert "2 of 2" in text
    assert "boss" in text
    assert "is not finished: step 6 of 6" in text
    assert len(json.loads("[\n" + values)) == 4


def test_two_hundred_runs_are_listed_in_a_second(place: Workspace, tmp_path: Path) -> None:
    [boss] = [group.folder for group in list_runs(place, "boss") if group.finished == 2]
    for i in range(100):
        shutil.copytree(boss, tmp_path / "runs" / f"boss-{i:08x}", copy_function=os.link)
    begun = time.perf_counter()
    assert sum(group.finished for group in list_runs(Workspace.at(tmp_path))) == 200
    assert time.perf_counter() - begun < 2
