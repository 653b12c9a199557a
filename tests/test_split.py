"""`hw4 split` chooses between sessions and utterances, says why, and keeps to it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.progress import no_bar
from kaggle_hw4.stages import split as stage
from kaggle_hw4.workspace import Workspace
from tests.conftest import chosen


@pytest.fixture
def workspace(corpus: Corpus, tmp_path: Path) -> Path:
    """A workspace with the corpus."""
    shutil.copytree(corpus.folder, tmp_path / "packed")
    return tmp_path


def split(place: Workspace, by: str = "auto") -> stage.Split:
    return stage.split(place, by, 2, 0, no_bar)


def test_unseen_sessions_are_split_by_session_and_the_reason_is_kept(workspace: Path) -> None:
    place = Workspace.at(workspace)
    made, again = split(place), split(place)
    assert made.folds.by == again.folds.by == "session"
    assert made.reason is not None
    assert made.reason == again.reason == made.folds.reason
    assert "of the test set is in unseen sessions" in made.reason


def test_a_random_test_set_is_split_by_utterance(
    workspace: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = np.random.default_rng(0).permutation(corpus.train)[: len(corpus.train) // 5]
    random = chosen(corpus, np.setdiff1d(corpus.train, drawn), drawn)
    monkeypatch.setattr(stage, "corpus_of", lambda *_: random)
    assert split(Workspace.at(workspace)).folds.by == "utterance"


def test_a_table_that_was_asked_for_is_not_the_answer_to_auto(workspace: Path) -> None:
    place = Workspace.at(workspace)
    assert split(place, "utterance").reason is None
    assert split(place).folds.by == "session"


def test_the_reason_is_printed(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit):
            main(["--workspace", str(workspace), "split", "--folds", "2", *arguments])
    text, values = capsys.readouterr().out.split("\n{", 1)
    assert "by session: " in text
    assert "unseen sessions (95 % interval" in " ".join(text.split())
    assert json.loads("{" + values)["by"] == "session"
