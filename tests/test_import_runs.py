"""Runs of another machine are taken over where they are of this corpus and these folds."""

import json
import shutil
from pathlib import Path

import pytest

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, make_folds, write_folds
from kaggle_hw4.errors import DataError
from kaggle_hw4.runs import find_runs
from kaggle_hw4.stages.import_runs import import_runs
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained


@pytest.fixture
def here(corpus: Corpus, folds: Folds, tmp_path: Path) -> Workspace:
    """A workspace; the folder `there` beside it has a finished run and one that is not."""
    root = tmp_path / "here"
    root.mkdir()
    (root / "packed").symlink_to(corpus.folder)
    write_folds(root / "folds", folds, corpus)
    for fold in range(2):
        trained(tiny("boss"), corpus, folds, tmp_path / "there", fold=fold)
    [unfinished] = (tmp_path / "there").glob("*/fold1-*/run.json")
    unfinished.unlink()
    return Workspace(root)


def test_finished_runs_are_copied_once(
    here: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--workspace", str(here.root), "runs", "import", str(tmp_path / "there"), "--json"]
    main_ok(command)
    first = json.loads(capsys.readouterr().out)
    main_ok(command)
    again = json.loads(capsys.readouterr().out)
    [run] = find_runs([here.runs])
    assert first["runs"] == again["known"] == [run.name]
    assert first["known"] == again["runs"] == []
    assert len(first["unfinished"]) == 1
    for name, sha256 in run.manifest().sha256.items():
        assert sha256_file(run.folder / name) == sha256


def main_ok(command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code


def test_a_run_of_other_folds_is_refused(here: Workspace, corpus: Corpus, tmp_path: Path) -> None:
    shutil.rmtree(here.folds)
    write_folds(here.folds, make_folds(corpus, "utterance", 2), corpus)
    with pytest.raises(DataError, match="fold table session2 .*; here there are: utterance2"):
        import_runs(here, [tmp_path / "there"])
    assert not here.runs.exists()


def test_a_damaged_run_is_refused(here: Workspace, tmp_path: Path) -> None:
    [path] = (tmp_path / "there").glob("*/fold0-*/test.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"test\.safetensors"):
        import_runs(here, [tmp_path / "there"])
    assert not here.runs.exists()


def test_other_results_of_the_same_run_are_refused(here: Workspace, tmp_path: Path) -> None:
    import_runs(here, [tmp_path / "there"])
    [run] = find_runs([here.runs])
    manifest = run.manifest()
    other = manifest.model_copy(update={"sha256": {**manifest.sha256, "ema.safetensors": "0"}})
    run.write_manifest(other)
    with pytest.raises(DataError, match="with other results"):
        import_runs(here, [tmp_path / "there"])
