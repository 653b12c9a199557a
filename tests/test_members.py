"""Members of an ensemble: runs of one corpus and fold table, all others refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import Folds, make_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.ensemble.members import find_members
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.inference.logits import Task, predict_runs
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.stages.ensemble import ensemble
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def runs(corpus: Corpus, folds: Folds, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("members") / "runs"
    for seed in (0, 1):
        for fold in (0, 1):
            trained(tiny("boss"), corpus, folds, folder, fold=fold, seed=seed)
    return folder


def test_a_member_is_a_variant_and_a_seed_with_all_its_folds(
    runs: Path, corpus: Corpus, folds: Folds
) -> None:
    members = find_members(find_runs([runs]))
    assert [m.name.rpartition("-")[2] for m in members] == ["seed0", "seed1"]
    for member in members:
        assert member.folds == (0, 1)
        assert sorted(member.ids) == sorted(corpus.ids[row] for row in corpus.train)
        assert [member.fold[member.ids.index(corpus.ids[r])] for r in corpus.train] == list(
            folds.fold
        )
        assert member.oof().shape == (len(corpus.train), 4)
        assert [logits.shape for logits in member.test()] == [(len(corpus.test), 4)] * 2


def test_a_copy_of_a_run_is_not_a_second_member(runs: Path, tmp_path: Path) -> None:
    copy = tmp_path / runs.name / next(runs.iterdir()).name
    shutil.copytree(next(runs.iterdir()), copy)
    with pytest.raises(DataError, match="there are 2 runs of fold 0"):
        find_members(find_runs([runs, tmp_path / runs.name]))


def test_runs_of_two_fold_tables_are_not_mixed(runs: Path, corpus: Corpus, tmp_path: Path) -> None:
    other = trained(tiny("boss"), corpus, make_folds(corpus, "utterance", 2), tmp_path)
    with pytest.raises(DataError, match=r"different fold tables: session2 .* utterance2"):
        find_members([*find_runs([runs]), other])


def test_a_workspace_that_is_not_there_yet_has_no_finished_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no finished run"):
        ensemble(Workspace(tmp_path / "a" / "new"), [])


@pytest.fixture(scope="module")
def other_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("other")
    write_corpus(folder / "corpus", speakers=4, sessions=2, utterances=3, frames=100, seed=5)
    return pack(folder / "corpus", folder / "packed")


def test_runs_of_two_corpora_are_not_mixed(
    runs: Path, other_corpus: Corpus, tmp_path: Path
) -> None:
    other = trained(tiny("boss"), other_corpus, make_folds(other_corpus, "session", 2), tmp_path)
    with pytest.raises(DataError, match="different corpora"):
        find_members([*find_runs([runs]), other])


def test_a_run_predicts_only_what_it_was_trained_on(
    runs: Path, corpus: Corpus, folds: Folds, other_corpus: Corpus, tmp_path: Path
) -> None:
    run = Run(Path(shutil.copytree(find_runs([runs])[0].folder, tmp_path / "run")))
    store = FrameStore(corpus, CPU)
    other_store, other_folds = FrameStore(other_corpus, CPU), make_folds(other_corpus, "session", 2)
    with pytest.raises(DataError, match="was trained on corpus"):
        predict_runs([Task(run, other_folds, WHOLE)], other_store, "float32")
    with pytest.raises(DataError, match="was trained on fold table"):
        predict_runs([Task(run, make_folds(corpus, "utterance", 2), WHOLE)], store, "float32")
    recipe = run.folder / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("margin = 0.2", "margin = 0.3"))
    with pytest.raises(DataError, match="was trained on recipe"):
        predict_runs([Task(run, folds, WHOLE)], store, "float32")


def test_predicting_again_gives_the_logits_of_the_weights_asked_for(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    recipe = tiny("boss", "schedule.steps=8", "optimizer.learning_rate=0.1")
    run, store = trained(recipe, corpus, folds, tmp_path), FrameStore(corpus, CPU)
    ema = run.read_logits("test").values
    best = WHOLE.model_copy(update={"weights": "best"})
    assert (
        predict_runs([Task(run, folds, best)], store, "float32")[0].prediction.config.weights
        == "best"
    )
    assert not np.array_equal(run.read_logits("test").values, ema)
    predict_runs([Task(run, folds, WHOLE)], store, "float32")
    assert np.array_equal(run.read_logits("test").values, ema)
