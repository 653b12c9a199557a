"""The board: submissions in the order in which they were sent, validation against scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from kaggle_hw4.competition import Edition
from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.finals import FinalSelection
from kaggle_hw4.kaggle.leaderboard import standard_error
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.stages.board import Board, choose_finals, read_board
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.workspace import Workspace


@dataclass(frozen=True)
class ScoreRow:
    """A scored submission; the errors are standard errors of a score on so many rows."""

    version: str
    label: str
    time: str  # UTC; when it was sent, else created or scored
    public: float | None
    private: float | None
    public_error: float | None
    private_error: float | None
    session: float | None  # validation by session
    utterance: float | None  # by utterance, or of seen sessions


@dataclass(frozen=True)
class BoardReport:
    """`kind` says whose scores they are: kaggle, else local."""

    kind: str
    edition: Edition | None
    board: Board
    scores: tuple[ScoreRow, ...]  # oldest first
    unscored: tuple[str, ...]  # versions
    failures: tuple[tuple[str, str], ...]  # version, the board's reason
    finals: FinalSelection | None


def describe_board(workspace: Workspace) -> BoardReport | None:
    """The board of a workspace; None where its ledger is empty."""
    entries = Ledger(workspace.submissions).entries()
    if not entries:
        return None
    edition = edition_of_workspace(workspace)
    kind = "kaggle" if any("kaggle" in entry.scores for entry in entries) else "local"
    scored = [entry for entry in entries if kind in entry.scores]
    try:
        finals = choose_finals(workspace)
    except UsageError:  # no public score yet
        finals = None
    rows = [_score_row(entry, kind, edition) for entry in scored]
    return BoardReport(
        kind=kind,
        edition=edition,
        board=read_board(workspace),
        scores=tuple(sorted(rows, key=lambda row: row.time)),
        unscored=tuple(entry.version for entry in entries if kind not in entry.scores),
        failures=tuple((e.version, e.failed.reason) for e in entries if e.failed),
        finals=finals,
    )


def _score_row(entry: Entry, kind: str, edition: Edition | None) -> ScoreRow:
    scored = entry.scores[kind]
    cv = {each.kind: each.accuracy for each in entry.cv}
    rows = edition.board_rows if edition and kind == "kaggle" else None
    return ScoreRow(
        version=entry.version,
        label=entry.label,
        time=_time(entry, kind),
        public=scored.public,
        private=scored.private,
        public_error=_error(scored.public, scored.n_public or rows),
        private_error=_error(scored.private, scored.n_private or rows),
        session=cv.get("session"),
        utterance=cv.get("utterance"),
    )


def _error(score: float | None, rows: int | None) -> float | None:
    return None if score is None or not rows else standard_error(score, rows)


def _time(entry: Entry, kind: str) -> str:
    """When it was sent, where that is known; else when the ledger first knew of it."""
    local = kind == "local"
    sent = [each for each in entry.submissions if (each.to == "local") == local]
    times: Sequence[str] = [each.date or each.at for each in sent]
    created = [entry.created.at] if entry.created else []
    return [*times, *created, entry.scores[kind].at][0]
