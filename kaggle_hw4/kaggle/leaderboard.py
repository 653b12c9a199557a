"""Scores: a local board on a truth file, and the table of all submissions."""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.competition import Edition, destination
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.kaggle.events import BOARDS, Scored, Validation
from kaggle_hw4.kaggle.ledger import Entry, Ledger, Transaction
from kaggle_hw4.kaggle.submissions import path_of, read_submission, version_of


@dataclass(frozen=True)
class Score:
    """The accuracy on either half of a truth file."""

    public: float
    private: float
    n_public: int
    n_private: int

    def is_that_of(self, scored: Scored) -> bool:
        """Whether an event says the same."""
        return all(getattr(scored, name) == value for name, value in vars(self).items())

    def event(self, version: str, truth_csv: Path) -> Scored:
        """What the ledger keeps of it."""
        return Scored(
            version=version,
            board="local",
            public=self.public,
            private=self.private,
            n_public=self.n_public,
            n_private=self.n_private,
            how=f"truth file {truth_csv}",
        )


@dataclass(frozen=True)
class Row:
    """A version on one board; `board` is None where it was sent to none."""

    version: str
    label: str
    cv: Mapping[str, Validation]  # by its kind
    board: str | None
    public: float | None
    private: float | None
    standard_error: float | None  # of the public score
    failed: str | None  # the board's reason
    passes: tuple[str, ...]  # names of baselines


def halves(ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """The public and the private half: the same ids on every machine, whatever their order."""
    shuffled = sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())
    middle = (len(shuffled) + 1) // 2
    return shuffled[:middle], shuffled[middle:]


def score_locally(submission_path: Path, truth_csv: Path) -> Score:
    """Score a submission as a board would, on a truth file (Id,Category) for the same ids.

    Raises DataError where either file is no such table, or their ids differ.
    """
    truth = _answers(truth_csv, "truth file")
    answers = _answers(submission_path, "submission")
    if len(truth) < 2:
        raise DataError(f"{truth_csv}: found {len(truth)} rows, expected 2 at least")
    if problems := _disagreements(answers, truth):
        raise DataError(
            f"{submission_path} and {truth_csv} are not about the same test set",
            "give the truth file of the corpus that the submission was made on",
            problems,
        )
    public, private = halves(truth)
    accuracies = [
        sum(answers[i] == truth[i] for i in half) / len(half) for half in (public, private)
    ]
    return Score(accuracies[0], accuracies[1], len(public), len(private))


def standard_error(accuracy: float, n: int) -> float:
    """Of an accuracy measured on n rows: half a point at 0.88 on one of Kaggle's halves."""
    return math.sqrt(accuracy * (1 - accuracy) / n)


def passed(accuracy: float, edition: Edition | None) -> tuple[str, ...]:
    """The names of the edition's baselines that a public score reaches, the lowest first."""
    baselines = edition.baselines if edition else {}
    return tuple(name for name, baseline in baselines.items() if accuracy >= baseline)


def table(entries: Iterable[Entry], edition: Edition | None) -> list[Row]:
    """A row per version and board, best public score first, versions that were not sent last.

    Kaggle's board comes first. The local one is on another corpus: neither Kaggle's scores nor
    its baselines can be compared with it.
    """
    rows = [_row(entry, board, edition) for entry in entries for board in _boards(entry)]
    return sorted(rows, key=_rank)


def resolve(ledger: Ledger | Transaction, name: str | None) -> Entry:
    """The entry of a version, of its file's name or path; without a name, the latest created.

    Raises UsageError where there is none.
    """
    entries = {entry.version: entry for entry in ledger.entries()}
    if name is None:
        created = [entry for entry in entries.values() if entry.created]
        if not created:
            raise UsageError(f"{ledger.folder}: no submission yet", "`hw4 ensemble` makes one")
        return created[-1]
    for version in filter(None, (name, version_of(Path(name)))):
        if version in entries:
            return entries[version]
        if path_of(ledger.folder, version).is_file():  # put there by hand
            return Entry(version)
    known = ", ".join(entries) or "none yet, run hw4 ensemble to make one"
    raise UsageError(f"there is no submission {name!r}", f"known: {known}")


def cv_by_kind(cv: Iterable[Validation]) -> dict[str, Validation]:
    """Validations by their kind: session or utterance."""
    return {validation.kind: validation for validation in cv}


def _answers(path: Path, what: str) -> dict[str, str]:
    rows = read_submission(path, what)
    answers = dict(rows)
    if len(answers) < len(rows):
        raise DataError(f"{path}: {len(rows) - len(answers)} ids of the {what} occur twice")
    return answers


def _disagreements(answers: Collection[str], truth: Collection[str]) -> list[str]:
    missing = sorted(set(truth) - set(answers))
    other = sorted(set(answers) - set(truth))
    return [
        f"{len(names)} of {len(whole)} ids are only in the {where}, such as {names[0]!r}"
        for names, whole, where in ((missing, truth, "truth file"), (other, answers, "submission"))
        if names
    ]


def _boards(entry: Entry) -> list[str | None]:
    """Where the version has a score, or waits for one; [None] when it was not sent."""
    sent = {"local" if event.to == "local" else "kaggle" for event in entry.submissions}
    return [board for board in BOARDS if board in sent or board in entry.scores] or [None]


def _row(entry: Entry, board: str | None, edition: Edition | None) -> Row:
    scored = entry.scores.get(board or "")
    public = scored.public if scored else None
    n = (scored.n_public if scored else None) or (
        destination(edition).board_rows if board == "kaggle" else None
    )
    return Row(
        version=entry.version,
        label=entry.label,
        cv=cv_by_kind(entry.cv),
        board=board,
        public=public,
        private=scored.private if scored else None,
        standard_error=None if public is None or not n else standard_error(public, n),
        failed=None if entry.failed is None else entry.failed.reason,
        passes=passed(public, edition) if board == "kaggle" and public is not None else (),
    )


def _rank(row: Row) -> tuple[int, float]:
    board = BOARDS.index(row.board) if row.board else len(BOARDS)
    return board, math.inf if row.public is None else -row.public
