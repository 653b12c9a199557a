"""From the corpus to a fold table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds

Progress = Callable[[int, int], None]


def corpus_of(workspace: Workspace) -> "Corpus":
    from kaggle_hw4.data.corpus import open_corpus

    return open_corpus(workspace.corpus)


def split(
    workspace: Workspace, by: str, count: int, seed: int, progress: Progress
) -> tuple["Folds", Path]:
    """Make the fold table, or find it made."""
    from kaggle_hw4.data.folds import make_folds, read_folds, table_name, write_folds

    corpus = corpus_of(workspace)
    path = workspace.folds / f"{table_name(by, count, seed)}.csv"
    if path.is_file():
        return read_folds(path, corpus), path
    folds = make_folds(corpus, by, count, seed, progress)
    return folds, write_folds(workspace.folds, folds, corpus)
