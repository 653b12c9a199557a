"""Bring a board's list of submissions and the ledger together."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from kaggle_hw4.kaggle.events import HALVES, Created, Event, Failed, Scored, Submitted
from kaggle_hw4.kaggle.ledger import Entry, Ledger
from kaggle_hw4.kaggle.listing import Listed
from kaggle_hw4.kaggle.submissions import version_of

MARK = 8  # letters of a file's sha256 that its message to the board carries
MESSAGE = re.compile(rf".* · ([0-9a-f]{{{MARK}}})")  # one that hw4 wrote
IMPORTED = " (imported)"  # after the name of a file that is not the one of that name made here


@dataclass(frozen=True)
class News:
    """What the ledger has learned about one submission of a list."""

    version: str
    news: tuple[str, ...]  # kinds of the events that were appended; none: all was known
    adopted: bool  # made elsewhere, and new to the ledger
    unlike: str | None  # the submission made here that it is not, although its file is called so
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
    file's name with its date and scores; any other was made elsewhere and is adopted under the name
    of its file. One that was made here and that nothing says was ever sent is no row of a list
    without dates: that row is adopted as `NAME (imported)`. Two rows of one name are two
    submissions.
    """
    with ledger.transaction() as transaction:
        known = {entry.version: entry for entry in transaction.entries()}
        matched: set[str] = set()  # versions that a row of this list is already
        events: list[Event] = []
        news = []
        for row in reversed(list(rows)):
            line, new = _news(known, row, how, matched)
            matched.add(line.version)
            entry = known.get(line.version, Entry(line.version))
            for event in new:
                entry = entry.after(event)
            known[line.version] = entry
            events += new
            news.append(line)
        transaction.append_all(events)
    return news


def _news(
    known: Mapping[str, Entry], row: Listed, how: str, matched: Collection[str]
) -> tuple[News, list[Event]]:
    """What a row says of which version, and the events that the ledger does not have yet."""
    version = _version(known, row, matched)
    entry = known.get(version, Entry(version))
    events: list[Event] = [e for e in (_sent(entry, row), _outcome(entry, row, how)) if e]
    name, new = _name(row), version not in known
    news = News(
        version=version,
        news=tuple(event.event for event in events),
        adopted=new,
        unlike=name if new and _created(known, name) else None,
        public=row.public,
        private=row.private,
        status=row.status,
    )
    return news, events


def _name(row: Listed) -> str:
    return version_of(Path(row.file)) or row.file  # a file may be called output_.csv


def _created(known: Mapping[str, Entry], version: str) -> bool:
    """Whether hw4 made it here."""
    return version in known and known[version].created is not None


def _version(known: Mapping[str, Entry], row: Listed, matched: Collection[str]) -> str:
    """Which version `row` is; a new one where it was made elsewhere and is not known."""
    for entry in known.values():
        if row.ref and row.ref in _references(entry):
            return entry.version
    name = _name(row)
    named = [entry for entry in known.values() if _is_called(entry.version, name)]
    for entry in named:
        sha256 = entry.created.sha256 if entry.created else ""
        if sha256 and sha256[:MARK] in row.message:
            return entry.version
    same = [entry for entry in named if entry.version not in matched and _may_be(entry, row)]
    if same:
        return max(same, key=lambda e: _agreement(e, row)).version
    if _created(known, name) and not row.ref:
        name += IMPORTED
    return _new_name(name, row.ref, known)


def _is_called(version: str, name: str) -> bool:
    """Whether a version has this name, or one that `_new_name` made of it."""
    return version in (name, name + IMPORTED) or version.startswith(
        (f"{name}@", f"{name}{IMPORTED}@")
    )


def _new_name(name: str, ref: str, entries: Collection[str]) -> str:
    """The name of the file; if it is taken, with the reference or the next number after it."""
    numbered = (f"{name}@{number}" for number in count(2))
    names = chain([name], [f"{name}@{ref}"] if ref else [], numbered)
    return next(each for each in names if each not in entries)


def _references(entry: Entry) -> set[str]:
    return {event.ref for event in entry.submissions if event.ref}


def _dates(entry: Entry) -> set[str]:
    return {event.date for event in entry.submissions if event.date}


def _may_be(entry: Entry, row: Listed) -> bool:
    """Whether nothing tells a row from a version of its name: reference, date, scores."""
    if row.ref and _references(entry):
        return False
    if entry.created and (_of_another_file(row, entry.created) or not (row.date or entry.sent)):
        return False
    if _older(row, entry) or (row.date and _dates(entry) and not _known_date(entry, row)):
        return False
    # A score may change: a board scores anew, one typed by hand is corrected by a dated list.
    return _known_date(entry, row) or _agrees(entry, row) or bool(entry.created and row.date)


def _of_another_file(row: Listed, created: Created) -> bool:
    """Whether the row has a message of hw4's, and it is that of another file."""
    match = MESSAGE.fullmatch(row.message)
    return bool(match and created.sha256 and match[1] != created.sha256[:MARK])


def _known_date(entry: Entry, row: Listed) -> bool:
    """To the minute: a spreadsheet drops the seconds."""
    return bool(row.date) and any(date[:16] == row.date[:16] for date in _dates(entry))


def _agrees(entry: Entry, row: Listed) -> bool:
    """Whether no score that both know differs."""
    pairs = [(row.score(half), entry.score(half)) for half in HALVES]
    return all(a == b for a, b in pairs if a is not None and b is not None)


def _agreement(entry: Entry, row: Listed) -> tuple[bool, int]:
    """How much speaks for it: the same date, the number of the same scores."""
    same = sum(row.score(half) == entry.score(half) is not None for half in HALVES)
    return _known_date(entry, row), same


def _older(row: Listed, entry: Entry) -> bool:
    """Whether the board had it before hw4 wrote a file of that name; to the minute."""
    written = entry.created.at[:16] if entry.created else ""
    return bool(row.date and written and row.date[:16] < written)


def _sent(entry: Entry, row: Listed) -> Submitted | None:
    """The row as an event, where it says what the ledger does not know: reference, date, state."""
    if row.ref:
        known = row.ref in _references(entry)
    elif row.date:
        known = _known_date(entry, row)
    else:
        known = row.status != "pending" or bool(entry.submissions)
    if known:
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
