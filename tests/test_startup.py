"""What needs no torch starts without it: no command takes seconds to say that a name is wrong."""

from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.tuning.storage import open_storage
from kaggle_hw4.tuning.study import open_study
from tests.conftest import imports
from tests.test_cli import run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_study import fingerprint
from tests.test_study import run as draw

HEAVY = {"torch", "pandas", "sklearn", "scipy", "optuna", "sqlalchemy", "numpy"}


@pytest.mark.parametrize(
    ("command", "packages"),
    [
        ("train --variant nope", "['numpy']"),
        ("train --variant boss -s networks.d_modle=3", "['numpy']"),
        ("submit --to web", "[]"),
        ("tune show boss", "['numpy', 'optuna', 'sqlalchemy']"),
        ("leaderboard show", "['numpy']"),
        ("runs", "['numpy']"),
        ("train --foldss 3", "[]"),
        ("split --by session --folds 2", "['numpy', 'pandas']"),
        ("split --folds 2", "['numpy', 'pandas']"),
    ],
)
def test_a_command_imports_no_more_than_it_needs(
    workspace: Path, command: str, packages: str
) -> None:
    if command.startswith("split"):  # of a table that is there already
        assert run(*command.split()) == 0
    assert imports(command.split(), HEAVY) == packages


def test_a_study_is_shown_without_scikit_learn(workspace: Path) -> None:
    with open_storage(workspace / "studies" / "boss", None) as storage:
        draw(open_study(storage, "boss", fingerprint()), 5)
    heavy = HEAVY - {"numpy", "optuna", "sqlalchemy"}
    assert imports(["tune", "show", "boss"], heavy) == "[]"


def test_frames_are_mapped_when_they_are_first_asked_for(corpus: Corpus) -> None:
    again = open_corpus(corpus.folder)
    assert callable(vars(again)["_frames"])
    assert again.frames.shape == corpus.frames.shape
    assert again.frames is again.frames
