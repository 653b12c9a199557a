"""From the corpus to a fold table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.locks import locked
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Split:
    """A fold table and its file."""

    folds: "Folds"
    path: Path

    def summary(self) -> "SplitSummary":
        """The sizes of its folds, for printing."""
        import numpy as np

        folds = self.folds
        return SplitSummary(
            name=folds.name,
            path=self.path,
            hash=folds.hash,
            by=folds.by,
            sizes=tuple(np.bincount(folds.fold, minlength=folds.count).tolist()),
            sessions=len(np.unique(folds.session)) if folds.by == "session" else None,
        )


@dataclass(frozen=True)
class SplitSummary:
    """A fold table in numbers."""

    name: str
    path: Path
    hash: str
    by: str
    sizes: tuple[int, ...]  # validation utterances of each fold
    sessions: int | None  # session clusters; None where the folds are by utterance


def corpus_of(workspace: Workspace) -> "Corpus":
    """The corpus of `workspace`; DataError if there is none, or a damaged one."""
    from kaggle_hw4.data.corpus import open_corpus

    return open_corpus(workspace.corpus)


def split(workspace: Workspace, by: str, count: int, seed: int, progress: Progress) -> Split:
    """Make a fold table of `count` folds, or read it where it exists.

    `progress(done, total)` counts speakers. Raises UsageError for a split that cannot be made and
    DataError for a table of another corpus.
    """
    from kaggle_hw4.data.folds import make_folds, read_folds, table_name, write_folds

    corpus = corpus_of(workspace)
    path = workspace.folds / f"{table_name(by, count, seed)}.csv"
    if path.is_file():
        return Split(read_folds(path, corpus), path)
    workspace.folds.mkdir(parents=True, exist_ok=True)
    with locked(workspace.folds / ".lock"):
        if path.is_file():  # another process has made it meanwhile
            return Split(read_folds(path, corpus), path)
        folds = make_folds(corpus, by, count, seed, progress)
        return Split(folds, write_folds(workspace.folds, folds, corpus))
