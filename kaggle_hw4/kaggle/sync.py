"""Bring a board's list of submissions and the ledger together."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kaggle_hw4.kaggle.ledger import Entry, Event, Ledger
from kaggle_hw4.kaggle.listing import Listed
from kaggle_hw4.kaggle.submissions import path_of, version_of

MARK = 8  # letters of a file's sha256 that its message to the board carries


def message_of(created: Event) -> str:
    """What we tell the board about a submission: enough to know it again."""
    kinds = "".join(f" · {cv['kind']} {cv['accuracy']:.4f}" for cv in created.get("cv") or [])
    return f"{created['version']}{kinds} · {created['sha256'][:MARK]}"


def record(ledger: Ledger, rows: Iterable[Listed], how: str) -> list[dict[str, Any]]:
    """Write what `rows` (newest first) say and the ledger does not know; one line on each.

    A submission is known by its reference, else by the message that hw4 gave it, else by its
    file's name; any other is a stranger, adopted under the name of its file.
    """
    return [_record(ledger, row, how) for row in reversed(list(rows))]


def _record(ledger: Ledger, row: Listed, how: str) -> dict[str, Any]:
    entries = {entry.version: entry for entry in ledger.entries()}
    version, stranger = _version(ledger, entries, row)
    entry = entries.get(version, Entry(version))
    events = [event for event in (_sent(entry, row), _outcome(entry, row, how)) if event]
    for event in events:
        ledger.append({"version": version, **event})
    known = version in entries
    return {
        "version": version,
        "news": [event["event"] for event in events],
        "adopted": stranger and not known,
        "public": row.public,
        "private": row.private,
        "status": row.status,
    }


def _version(ledger: Ledger, entries: Mapping[str, Entry], row: Listed) -> tuple[str, bool]:
    """Which version `row` is, and whether a stranger."""
    for entry in entries.values():
        if row.ref and row.ref in _references(entry):
            return entry.version, entry.created is None
    named = [e for e in entries.values() if path_of(ledger.folder, e.version).name == row.file]
    for entry in named:
        sha256 = (entry.created or {}).get("sha256", "")
        if sha256 and sha256[:MARK] in row.message:
            return entry.version, False
    for entry in named:
        if not _references(entry) and not _older(row, entry):
            return entry.version, entry.created is None
    name = version_of(Path(row.file))
    if name not in entries:
        return name, True
    return (f"{name}@{row.ref}" if row.ref else name), True


def _references(entry: Entry) -> set[str]:
    return {str(event["ref"]) for event in entry.submissions if event.get("ref")}


def _older(row: Listed, entry: Entry) -> bool:
    """Whether the board had it before hw4 made a file of that name."""
    made = (entry.created or {}).get("at", "")[:19]
    return bool(row.date and made and row.date[:19] < made)


def _sent(entry: Entry, row: Listed) -> Event | None:
    if not row.ref or row.ref in _references(entry):
        return None
    details = {"ref": row.ref, "message": row.message, "date": row.date}
    return {"event": "submitted", "to": "kaggle", **details}


def _outcome(entry: Entry, row: Listed, how: str) -> Event | None:
    """The score or the failure, where the ledger does not know it yet."""
    known = entry.scores.get("kaggle", {})
    scores = {"public": row.public, "private": row.private}
    if row.status == "error":
        reason = row.error or "no reason given"
        return None if entry.failed else {"event": "failed", "board": "kaggle", "reason": reason}
    if all(score is None or known.get(half) == score for half, score in scores.items()):
        return None
    return {"event": "scored", "board": "kaggle", **scores, "how": how}
