"""What became of every submission: `ledger.jsonl`, one event a line, only ever appended to."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from kaggle_hw4.artifact import named_errors, read_file, sync_directory, sync_file
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.events import (
    KINDS,
    Created,
    Event,
    Failed,
    Forgotten,
    Half,
    Scored,
    Submitted,
    Validation,
    parse,
)
from kaggle_hw4.locks import locked

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Entry:
    """All that the ledger knows of one version."""

    version: str
    created: Created | None = None
    submissions: tuple[Submitted, ...] = ()
    scores: Mapping[str, Scored] = field(default_factory=dict)  # board → its newest scores
    failed: Failed | None = None

    @property
    def label(self) -> str:
        """Boss for Boss_V3, also where a person has chosen the version's name."""
        named = self.created.label if self.created else None
        return named or self.version.rpartition("_V")[0] or self.version

    @property
    def cv(self) -> Sequence[Validation]:
        """Its validations: accuracies on out-of-fold utterances."""
        return self.created.cv if self.created else ()

    def score(self, half: Half) -> float | None:
        """The score on that half of Kaggle's board; None where it is not known."""
        return self.scores["kaggle"].score(half) if "kaggle" in self.scores else None

    @property
    def sent(self) -> bool:
        """Whether Kaggle has it, as an upload, a list or a recorded score says."""
        uploaded = any(event.to != "local" for event in self.submissions)
        return uploaded or "kaggle" in self.scores or self.failed is not None

    def on(self, board: str) -> bool:
        """Whether it is on that board: sent to it, or scored there."""
        local = any(event.to == "local" for event in self.submissions) or "local" in self.scores
        return local if board == "local" else self.sent

    def after(self, event: Event) -> "Entry":
        """The entry with one more event; unknown kinds of events change nothing."""
        match event:
            case Created():
                return replace(self, created=self.created or event)
            case Submitted():
                return replace(self, submissions=(*self.submissions, event))
            case Scored():
                known = self.scores.get(event.board)
                scored = known.updated(event) if known else event
                return replace(self, scores={**self.scores, event.board: scored})
            case Failed():
                return replace(self, failed=event)
            case Forgotten():
                return self._without(event.board)
        return self

    def _without(self, board: str) -> "Entry":
        """The entry off a board: not sent to it, and not scored there."""
        local = board == "local"
        return replace(
            self,
            submissions=tuple(e for e in self.submissions if (e.to == "local") != local),
            scores={name: scored for name, scored in self.scores.items() if name != board},
            failed=self.failed if local else None,
        )


class Ledger:
    """The ledger of one folder of submissions, shared by any number of processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock: no other process appends or takes a version meanwhile."""
        with ExitStack() as stack:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder / ".lock"))
            except OSError as error:
                what = f"{self.folder} cannot be written ({error.strerror})"
                raise DataError(what) from error
            yield

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Hold the folder's lock, so that what is appended fits what was read before it."""
        with self.locked():
            yield Transaction(self.folder, self.path, self.read())

    def append(self, event: E) -> E:
        """Write one event to the disk and return it as written, with its time."""
        with self.transaction() as transaction:
            return transaction.append(event)

    def read(self) -> "Reading":
        """What the file says now. Raises DataError where it cannot be read, or is of another
        format.
        """
        try:
            lines = read_file(self.path).split(b"\n")
        except FileNotFoundError:
            lines = []
        except OSError as error:
            what = f"{self.path}: the ledger cannot be read ({error.strerror})"
            raise DataError(what) from error
        events = [parse(line, self.path) for line in lines if line.strip()]
        return Reading(self.path, tuple(events))

    def events(self) -> list[Event]:
        """Every valid event, oldest first; torn and changed lines are left out: see `problems`.

        Raises DataError where the file cannot be read, or is of another format.
        """
        return self.read().events

    def problems(self) -> list[str]:
        """What is wrong with the file, line by line: nothing of it is in `events`."""
        return self.read().problems

    def entries(self) -> list[Entry]:
        """The events folded into one entry per version, in the order in which those appeared."""
        return self.read().entries


@dataclass(frozen=True)
class Reading:
    """The ledger as it was at one moment."""

    path: Path
    lines: tuple[Event | None, ...]  # of every line that is not empty; None where it is no event

    @property
    def events(self) -> list[Event]:
        return [event for event in self.lines if event is not None]

    @property
    def entries(self) -> list[Entry]:
        return fold(self.events)

    @property
    def problems(self) -> list[str]:
        problems = list[str]()
        last: str | None = ""  # None: not known
        for number, event in enumerate(self.lines, start=1):
            if event is None:
                problems.append(f"{self.path}: line {number} is torn, or was changed by hand")
                last = None
            elif event.seal:
                if last not in (None, event.after):
                    problems.append(f"{self.path}: an event is missing before line {number}")
                last = event.seal
        return problems


class Transaction:
    """The ledger while its lock is held: read once, then appended to."""

    def __init__(self, folder: Path, path: Path, reading: Reading) -> None:
        self.folder, self.path, self.reading = folder, path, reading
        self._entries = {entry.version: entry for entry in reading.entries}
        self._last_seal = next((e.seal for e in reversed(reading.events) if e.seal), "")

    def entries(self) -> list[Entry]:
        """As `Ledger.entries`, with what has been appended."""
        return list(self._entries.values())

    def entry(self, version: str) -> Entry:
        """What is known of a version; an empty entry where that is nothing."""
        return self._entries.get(version, Entry(version))

    def append(self, event: E) -> E:
        """Write one event to the disk and return it as written, with its time."""
        return self.append_all([event])[0]

    def append_all(self, events: Sequence[E]) -> list[E]:
        """Write events that belong together in one go; return them as written."""
        lines, written = list[bytes](), list[E]()
        for event in events:
            if event.event not in KINDS:
                raise ValueError(f"not an event of the ledger: {event}")
            lines.append(event.line(event.at or now(), self._last_seal))
            written.append(type(event).model_validate_json(lines[-1]))
            self._last_seal = written[-1].seal
        if lines:
            _append(self.path, b"".join(line + b"\n" for line in lines))
        for event in written:
            _add(self._entries, event)
        return written


def fold(events: Iterable[Event]) -> list[Entry]:
    """One entry per version, in the order in which the versions first appear.

    A version that hw4 did not make and that was forgotten has none.
    """
    entries: dict[str, Entry] = {}
    for event in events:
        _add(entries, event)
    return list(entries.values())


def _add(entries: dict[str, Entry], event: Event) -> None:
    entry = entries.get(event.version, Entry(event.version)).after(event)
    if isinstance(event, Forgotten) and entry == Entry(event.version):
        entries.pop(event.version, None)
    else:
        entries[event.version] = entry


def now() -> str:
    """The time in UTC, as 2022-04-01T12:00:00+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _append(path: Path, lines: bytes) -> None:
    """Append and flush to the disk; a torn last line (after a crash) is closed first.

    Where the disk fails, the file is what it was before.
    """
    # Unbuffered: Python would write again, on closing, what the disk has refused.
    with named_errors(path), path.open("ab+", buffering=0) as file:
        if size := file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                lines = b"\n" + lines
        try:
            _write(file, lines)
        except OSError:
            with suppress(OSError):
                file.truncate(size)
            raise
    sync_directory(path.parent)


def _write(file: IO[bytes], lines: bytes) -> None:
    """Write all of it to the disk; one that is nearly full takes a part at a time."""
    rest = memoryview(lines)
    while rest:
        rest = rest[file.write(rest) :]
    sync_file(file)
