"""Bring a board's list of submissions and the ledger together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.kaggle.events import HALVES, Created, Failed, Scored, Submitted
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.kaggle.listing import Listed
from kaggle_hw4.kaggle.submissions import path_of, version_of

MARK = 8  # letters of a file's sha256 that its message to the board carries


@dataclass(frozen=True)
class News:
    """What the ledger has learned about one submission of a list."""

    version: str
    news: tuple[str, ...]  # kinds of the events that were appended; none: all was known
    adopted: bool  # made elsewhere, and new to the ledger
    public: float | None
    private: float | None
    status: str


def message_of(created: Created) -> str:
    """What hw4 writes to the board about a submission: enough to recognise it in a list."""
    kinds = "".join(
        f" · {cv.kind} {cv.accuracy:.4f}" for cv in created.cv if cv.accuracy is not None
    )
    return f"{created.version}{kinds} · {created.sha256[:MARK]}"


def record(ledger: Ledger, rows: Iterable[Listed], how: str) -> list[News]:
    """Append what `rows` (newest first) say and the ledger does not know; one line on each.

    A submission is recognised by its reference, else by the message that hw4 gave it, else by its
    file's name; any other was made elsewhere and is adopted under the name of its file.
    """
    return [_record(ledger, row, how) for row in reversed(list(rows))]


def _record(ledger: Ledger, row: Listed, how: str) -> News:
    entries = {entry.version: entry for entry in ledger.entries()}
    version, elsewhere = _version(ledger, entries, row)
    entry = entries.get(version, Entry(version))
    events = [event for event in (_sent(entry, row), _outcome(entry, row, how)) if event]
    for event in events:
        ledger.append(event)
    return News(
        version=version,
        news=tuple(event.event for event in events),
        adopted=elsewhere and version not in entries,
        public=row.public,
        private=row.private,
        status=row.status,
    )


def _version(ledger: Ledger, entries: Mapping[str, Entry], row: Listed) -> tuple[str, bool]:
    """Which version `row` is, and whether it was made elsewhere."""
    for entry in entries.values():
        if row.ref and row.ref in _references(entry):
            return entry.version, entry.created is None
    named = [e for e in entries.values() if path_of(ledger.folder, e.version).name == row.file]
    for entry in named:
        sha256 = entry.created.sha256 if entry.created else ""
        if sha256 and sha256[:MARK] in row.message:
            return entry.version, False
    for entry in named:
        if not _references(entry) and not _older(row, entry):
            return entry.version, entry.created is None
    name = version_of(Path(row.file)) or row.file  # a file may be called output_.csv
    if name not in entries:
        return name, True
    return (f"{name}@{row.ref}" if row.ref else name), True


def _references(entry: Entry) -> set[str]:
    return {event.ref for event in entry.submissions if event.ref}


def _older(row: Listed, entry: Entry) -> bool:
    """Whether the board had it before hw4 wrote a file of that name."""
    written = entry.created.at[:19] if entry.created else ""
    return bool(row.date and written and row.date[:19] < written)


def _sent(entry: Entry, row: Listed) -> Submitted | None:
    if not row.ref or row.ref in _references(entry):
        return None
    return Submitted(
        version=entry.version, to="kaggle", ref=row.ref, message=row.message, date=row.date
    )


def _outcome(entry: Entry, row: Listed, how: str) -> Scored | Failed | None:
    """The score or the failure, where the ledger does not know it yet."""
    if row.status == "error":
        reason = row.error or "no reason given"
        return None if entry.failed else Failed(version=entry.version, reason=reason)
    if all(row.score(half) in (None, entry.score(half)) for half in HALVES):
        return None
    return Scored(
        version=entry.version, board="kaggle", public=row.public, private=row.private, how=how
    )
