"""A run is found by its folder, and its logits are checked when read."""

import json
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Logits, Run, find_runs, finished
from kaggle_hw4.stages.clean import clean
from tests.conftest import manifest_of, tiny


def make(folder: Path, done: bool = True) -> Run:
    run = Run(folder)
    folder.mkdir(parents=True)
    run.write_recipe(tiny("boss"))
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    sha256 = run.write_logits("oof", Logits(("a.pt", "b.pt"), values))
    if done:
        run.write_manifest(manifest_of({"oof.safetensors": sha256}))
    return run


def test_logits_are_read_back_with_their_ids(tmp_path: Path) -> None:
    logits = make(tmp_path / "run").read_logits("oof")
    assert logits.ids == ("a.pt", "b.pt")
    assert logits.values.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_flipped_bit_in_the_logits_is_noticed(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    path = run.folder / "oof.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="has changed.*hw4 predict"):
        run.read_logits("oof")


def test_runs_are_found_from_any_folder_above_them(tmp_path: Path) -> None:
    run = make(tmp_path / "runs" / "boss-1" / "fold0-seed0")
    for above in (run.folder, run.folder.parent, run.folder.parent.parent):
        assert [logits.folder for logits in find_runs([above, above])] == [run.folder]
    with pytest.raises(UsageError, match="is no folder of runs"):
        find_runs([tmp_path / "nowhere"])


@pytest.mark.parametrize("spoiled", ['{"variant": "boss"}', '{"format": 1}', "{}"])
def test_a_run_of_another_version_is_refused_in_one_line(tmp_path: Path, spoiled: str) -> None:
    run = make(tmp_path / "run")
    (run.folder / "run.json").write_text(spoiled)
    with pytest.raises(DataError, match=r"run was trained by another version .*train it again"):
        run.manifest()


def test_an_edited_manifest_is_noticed(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    path = run.folder / "run.json"
    path.write_text(path.read_text().replace('"accuracy": 0.5', '"accuracy": 0.9'))
    with pytest.raises(DataError, match=r"run\.json was changed after it was written"):
        run.manifest()


@pytest.mark.parametrize("spoiled", ["", "[]", '{"variant": "boss"', '{"format": 3, "fold": "x"}'])
def test_a_damaged_manifest_is_named_with_what_to_do(tmp_path: Path, spoiled: str) -> None:
    run = make(tmp_path / "run")
    (run.folder / "run.json").write_text(spoiled)
    with pytest.raises(DataError, match=r"run\.json: not the manifest of a run .*train it again"):
        run.manifest()


def test_a_finished_run_without_its_recipe_is_still_found(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (run.folder / "recipe.toml").unlink()
    assert find_runs([tmp_path]) == [Run(run.folder.resolve())]


def test_only_a_manifest_makes_a_run_finished(tmp_path: Path) -> None:
    runs = [make(tmp_path / "a"), make(tmp_path / "b", done=False)]
    assert finished(runs) == runs[:1]
    with pytest.raises(DataError, match="1 unfinished"):
        finished(runs[1:])


def test_another_recipe_or_input_is_another_folder(tmp_path: Path) -> None:
    names = {
        Run.of(tmp_path, "boss", recipe, inputs, 0, 0).name
        for recipe in (tiny("boss"), tiny("boss", "loss.margin=0.3"))
        for inputs in (["corpus", "folds"], ["corpus", "other folds"])
    }
    assert len(names) == 4


def test_the_stored_recipe_is_the_one_that_ran(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert run.recipe() == read_recipe(run.folder / "recipe.toml") == tiny("boss")
    assert json.loads((run.folder / "run.json").read_text())["sha256"]


def test_clean_frees_the_checkpoints_of_finished_runs_alone(tmp_path: Path) -> None:
    runs = [make(tmp_path / name / "fold0-seed0", done=name == "a-1") for name in ("a-1", "b-2")]
    for run in runs:
        run.checkpoint.write_bytes(b"x" * 100)
    shown = clean([tmp_path], delete=False)
    assert (shown.checkpoints, shown.bytes, shown.deleted) == ((runs[0].checkpoint,), 100, False)
    assert runs[0].checkpoint.exists()
    assert clean([tmp_path], delete=True).deleted
    assert [run.checkpoint.exists() for run in runs] == [False, True]
    assert clean([tmp_path], delete=True).checkpoints == ()
