"""What became of every submission: `ledger.jsonl`, one event a line, only ever appended to.

    created    version, label, sha256, rows, members, weights, method, cv, commit, inputs
    submitted  version, to (local, web or kaggle); to kaggle also ref, message, date
    scored     version, board (local or kaggle), public, private (one of them may be null), how
    failed     version, board, reason: the board could not score it

Every event has `at`, its time in UTC; fields that are not named here are kept as they are.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from kaggle_hw4.artifact import sync_directory
from kaggle_hw4.errors import DataError, UsageError

Event = dict[str, Any]

EVENTS = ("created", "submitted", "scored", "failed")
DESTINATIONS = ("local", "web", "kaggle")
BOARDS = ("kaggle", "local")


@dataclass(frozen=True)
class Entry:
    """All that the ledger knows of one version."""

    version: str
    created: Event | None = None
    submissions: tuple[Event, ...] = ()
    scores: Mapping[str, Event] = field(default_factory=dict)  # board → what it says by now
    failed: Event | None = None

    def after(self, event: Event) -> "Entry":
        """The entry with one more event; kinds of events that we do not know change nothing."""
        match event["event"]:
            case "created":
                return replace(self, created=self.created or event)
            case "submitted":
                return replace(self, submissions=(*self.submissions, event))
            case "scored":
                board = event.get("board", "kaggle")
                scored = _updated(self.scores.get(board, {}), event)
                return replace(self, scores={**self.scores, board: scored})
            case "failed":
                return replace(self, failed=event)
        return self


class Ledger:
    """The ledger of one folder of submissions, shared by any number of processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: nobody else appends or claims a version meanwhile."""
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise DataError(f"{self.folder} cannot be written ({error.strerror})") from None
        try:
            yield
        finally:
            lock.release()

    def append(self, event: Event) -> Event:
        """Write one event to the disk and return it as written, with its time."""
        check_event(event)
        written = {"event": event["event"], "version": event["version"], "at": now(), **event}
        line = json.dumps(written, allow_nan=False).encode()
        with self.locked():
            _append_line(self.path, line)
        return written

    def events(self) -> list[Event]:
        """Every whole event, oldest first; a line that a crash has torn is passed over."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"{self.path}: the ledger cannot be read ({error.strerror})") from None
        return [event for line in lines if (event := _parsed(line)) is not None]

    def entries(self) -> list[Entry]:
        """The events folded into one entry per version, in the order in which those appeared."""
        return fold(self.events())


def fold(events: Iterable[Event]) -> list[Entry]:
    """One entry per version, in the order in which the versions first appear."""
    entries: dict[str, Entry] = {}
    for event in events:
        version = event["version"]
        entries[version] = entries.get(version, Entry(version)).after(event)
    return list(entries.values())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def check_event(event: Event) -> None:
    """Raise unless `event` may be appended; only a score comes from a person's hand."""
    kind, version = event.get("event"), event.get("version")
    if kind not in EVENTS or not isinstance(version, str) or not version:
        raise ValueError(f"not an event of the ledger: {event}")
    if kind == "submitted" and event.get("to") not in DESTINATIONS:
        raise UsageError(f"cannot submit to {event.get('to')!r}", f"use {', '.join(DESTINATIONS)}")
    if kind == "scored":
        _check_scores(event)


def _check_scores(event: Event) -> None:
    if event.get("board") not in BOARDS:
        raise UsageError(f"no board {event.get('board')!r}", f"the boards are {', '.join(BOARDS)}")
    scores = {half: event.get(half) for half in ("public", "private")}
    if all(score is None for score in scores.values()):
        raise UsageError(
            f"{event['version']}: no score given", "give the public, the private or both"
        )
    for half, score in scores.items():
        if score is not None and not _is_score(score):
            raise UsageError(
                f"{event['version']}: {half} score {score!r} is not between 0 and 1",
                "a score is a fraction such as 0.78825",
            )


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _updated(known: Event, event: Event) -> Event:
    """The newer score; what it leaves open (the private half, before the end) stays as known."""
    return {**known, **{name: value for name, value in event.items() if value is not None}}


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    try:
        if event["event"] in EVENTS:
            check_event(event)
        return event if isinstance(event["version"], str) else None
    except (UsageError, ValueError, TypeError, KeyError, AttributeError):  # changed by hand
        return None


def _append_line(path: Path, line: bytes) -> None:
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a crash has torn the last line: leave it to itself
                line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
