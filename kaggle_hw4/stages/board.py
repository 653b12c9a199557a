"""The ledger's scores: taken in by hand, from a file or from Kaggle; and what they show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.competition import destination
from kaggle_hw4.errors import UsageError
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.workspace import Workspace, shipped

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.events import Forgotten, Half, Scored
    from kaggle_hw4.kaggle.fetch import Fetched, Progress
    from kaggle_hw4.kaggle.finals import FinalSelection
    from kaggle_hw4.kaggle.forecast import Forecast, Tracking
    from kaggle_hw4.kaggle.leaderboard import Row
    from kaggle_hw4.kaggle.ledger import Entry, Transaction
    from kaggle_hw4.kaggle.noise import Difference
    from kaggle_hw4.kaggle.sync import News


@dataclass(frozen=True)
class Board:
    """All submissions, what is noise between them, and what to expect of the next ones."""

    edition: int | None  # the year; None where the corpus is no edition of the competition
    baselines: Mapping[str, float]  # public scores, lowest first
    submissions: "Sequence[Row]"
    neighbours: "Sequence[Difference]"
    labels: "Sequence[Difference]"
    tracking: "Sequence[Tracking]"
    forecasts: "Mapping[str, Forecast | None]"  # of versions without a score from Kaggle
    problems: Sequence[str]  # of the ledger


def read_board(workspace: Workspace) -> Board:
    """The board of a workspace, from its ledger alone."""
    from kaggle_hw4.kaggle import noise
    from kaggle_hw4.kaggle.forecast import forecast, tracking
    from kaggle_hw4.kaggle.leaderboard import table
    from kaggle_hw4.kaggle.ledger import Ledger

    edition, folder = edition_of_workspace(workspace), workspace.submissions
    reading = Ledger(folder).read()
    entries = reading.entries
    waiting = [e for e in entries if edition and e.created and "kaggle" not in e.scores]
    return Board(
        edition=edition.year if edition else None,
        baselines=edition.baselines if edition else {},
        submissions=table(entries, edition),
        neighbours=noise.neighbours(folder, entries, edition),
        labels=noise.labels(folder, entries, edition),
        tracking=tracking(entries),
        forecasts={e.version: forecast(entries, e.cv, edition) for e in waiting},
        problems=reading.problems,
    )


def choose_finals(workspace: Workspace) -> "FinalSelection":
    """The two submissions to select. Raises UsageError where none has a public score."""
    from kaggle_hw4.kaggle.finals import choose
    from kaggle_hw4.kaggle.ledger import Ledger

    ledger = Ledger(workspace.submissions)
    return choose(ledger.folder, ledger.entries(), edition_of_workspace(workspace))


@dataclass(frozen=True)
class Recorded:
    """A score taken in by hand, and the scores that it changes."""

    scored: "Scored"
    replaced: "Mapping[Half, float]"  # what the ledger held of a half that now has another score


def record_score(
    workspace: Workspace, version: str, public: float | None, private: float | None
) -> Recorded:
    """Keep what a person has read on Kaggle's board; a score that is known is not kept twice.

    Raises UsageError for no such score or submission.
    """
    from kaggle_hw4.kaggle.events import HALVES, Scored
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.ledger import Ledger

    scores = {"public": public, "private": private}
    with Ledger(workspace.submissions).transaction() as ledger:
        entry = resolve(ledger, version)
        scored = Scored(version=entry.version, board="kaggle", how="by hand", **scores)
        if all(scores[half] in (None, entry.score(half)) for half in HALVES):
            scored = entry.scores["kaggle"]
        else:
            scored = ledger.append(scored)
    replaced = {
        half: old
        for half in HALVES
        if (old := entry.score(half)) is not None and scores[half] not in (None, old)
    }
    return Recorded(scored, replaced)


def forget(workspace: Workspace, version: str, board: str) -> "Forgotten":
    """Take a submission off a board, and say what was known of it there.

    Its file and its validation stay; one that was imported is gone. The file or list that it came
    from brings it back. Raises UsageError where it is not on that board.
    """
    from kaggle_hw4.kaggle.events import BOARDS, Forgotten
    from kaggle_hw4.kaggle.ledger import Ledger

    if board not in BOARDS:
        raise UsageError(f"no board {board!r}", f"the boards are {', '.join(BOARDS)}", "board")
    with Ledger(workspace.submissions).transaction() as ledger:
        entry = _on_board(ledger, version, board)
        scored = entry.scores.get(board)
        return ledger.append(
            Forgotten(
                version=entry.version,
                board=board,
                public=scored.public if scored else None,
                private=scored.private if scored else None,
            )
        )


def _on_board(ledger: "Transaction", name: str, board: str) -> "Entry":
    """The submission of that name. Raises UsageError where it is not on the board, or no more."""
    from kaggle_hw4.kaggle.events import BOARDS, Forgotten
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.submissions import version_of

    names = {name, version_of(Path(name))}
    if not any(entry.version in names and entry.on(board) for entry in ledger.entries()):
        for event in reversed(ledger.reading.events):
            if isinstance(event, Forgotten) and event.version in names and event.board == board:
                when = event.at[:16].replace("T", " ")
                what = f"{event.version} was forgotten already ({when} UTC)"
                raise UsageError(what, "the list that it came from brings it back")
    entry = resolve(ledger, name)
    if not entry.on(board):
        others = [other for other in BOARDS if entry.on(other)]
        then = f"it is on the {others[0]} board" if others else ""
        what = f"{entry.version} is not on the {board} board: neither sent nor scored"
        raise UsageError(what, then, "board" if others else "")
    return entry


@dataclass(frozen=True)
class Imported:
    """What was new in a file, and each of its lines that was left out, and why."""

    news: "Sequence[News]"
    problems: Sequence[str]


def import_scores(workspace: Workspace, path: Path) -> Imported:
    """Take the scores of a file into the ledger; what is known already is left alone.

    Raises DataError for a file without submissions.
    """
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.listing import read_listing
    from kaggle_hw4.kaggle.sync import record

    example = shipped(str(path))  # examples/past_scores.csv
    listing = read_listing(example if example.exists() and not path.exists() else path)
    news = record(Ledger(workspace.submissions), listing.rows, f"imported from {path.name}")
    return Imported(news, listing.problems)


@dataclass(frozen=True)
class Synchronised:
    """What Kaggle's list says, and the files that were fetched."""

    news: "list[News]"
    files: "Fetched"


def synchronise(workspace: Workspace, progress: "Progress") -> Synchronised:
    """Take Kaggle's own list of this team's submissions into the ledger, and fetch the files of
    those that were made elsewhere; `progress(done, total)` counts them.
    """
    from kaggle_hw4.kaggle.client import connect
    from kaggle_hw4.kaggle.fetch import fetch_files
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.sync import record
    from kaggle_hw4.kaggle.upload import list_submissions

    kaggle = connect(destination(edition_of_workspace(workspace)).slug)
    ledger = Ledger(workspace.submissions)
    news = record(ledger, list_submissions(kaggle), "synced from Kaggle")
    listed = {line.version for line in news}
    entries = [entry for entry in ledger.entries() if entry.version in listed]
    return Synchronised(news, fetch_files(kaggle, ledger.folder, entries, progress))
