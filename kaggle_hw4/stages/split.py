"""From the corpus to a fold table."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kaggle_hw4.errors import UsageError
from kaggle_hw4.locks import locked
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds

AUTO: Final = "auto"  # measure which kind of folds resembles the test set


@dataclass(frozen=True)
class Split:
    """A fold table and its file."""

    folds: "Folds"
    path: Path
    reason: str | None = None  # why it is by session or by utterance; None: it was asked for

    def summary(self) -> "SplitSummary":
        """The sizes of its folds, for printing."""
        import numpy as np

        folds = self.folds
        return SplitSummary(
            name=folds.name,
            path=self.path,
            hash=folds.hash,
            by=folds.by,
            reason=self.reason,
            share=folds.share,
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
    reason: str | None  # None: it was asked for
    share: float  # of a session's utterances that labels are spread over together
    sizes: tuple[int, ...]  # validation utterances of each fold
    sessions: int | None  # session clusters; None where the folds are by utterance


def corpus_of(workspace: Workspace, bar: Bar = no_bar) -> "Corpus":
    """The corpus of `workspace`; DataError if there is none, or a damaged one. `bar(name)` makes
    the progress of the check.
    """
    from kaggle_hw4.data.corpus import open_corpus

    return open_corpus(workspace.corpus, bar)


def split(workspace: Workspace, by: str, count: int, seed: int, bar: Bar) -> Split:
    """Make a fold table of `count` folds, or read it where it exists.

    `by` "auto" measures whether the test set is in unseen sessions, and chooses between "session"
    and "utterance". `bar(name)` makes the progress of a stage. Raises UsageError for a split that
    cannot be made and DataError for a table of another corpus.
    """
    from kaggle_hw4.data.folds import KINDS, make_folds, read_folds, table_name, write_folds

    if by not in (AUTO, *KINDS):
        choices = ", ".join((AUTO, *KINDS))
        raise UsageError(f"cannot split by {by!r}: choose one of {choices}", parameter="by")
    corpus = corpus_of(workspace, bar)
    reason = None
    if by == AUTO:
        tables = {kind: workspace.folds / f"{table_name(kind, count, seed)}.csv" for kind in KINDS}
        for path in filter(Path.is_file, tables.values()):
            if (folds := read_folds(path, corpus)).reason is not None:
                return Split(folds, path, folds.reason)
        by, reason = _choose(corpus, bar)
    path = workspace.folds / f"{table_name(by, count, seed)}.csv"
    if path.is_file():
        return Split(read_folds(path, corpus), path, reason)
    workspace.folds.mkdir(parents=True, exist_ok=True)
    with locked(workspace.folds / ".lock"):
        if path.is_file():  # another process has made it meanwhile
            return Split(read_folds(path, corpus), path, reason)
        folds = replace(make_folds(corpus, by, count, seed, bar), reason=reason)
        return Split(folds, write_folds(workspace.folds, folds, corpus), reason)


def _choose(corpus: "Corpus", bar: Bar) -> tuple[str, str]:
    """How to split so that validation resembles the test set, and why so."""
    from kaggle_hw4.data.shift import choose_folds, measure_unseen

    unseen, _ = measure_unseen(corpus, bar)
    choice = choose_folds(corpus.edition, unseen)
    return choice.by, choice.reason
