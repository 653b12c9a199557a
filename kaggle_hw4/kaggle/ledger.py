"""What became of every submission: `ledger.jsonl`, one event a line, only ever appended to."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from kaggle_hw4.artifact import sync_directory
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.events import (
    KINDS,
    Created,
    Event,
    Failed,
    Half,
    Scored,
    Submitted,
    Validation,
    parse,
)

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
        return self


class Ledger:
    """The ledger of one folder of submissions, shared by any number of processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ledger.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock: no other process appends or takes a version meanwhile."""
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            what = f"{self.folder} cannot be written ({error.strerror})"
            raise DataError(what) from error
        try:
            yield
        finally:
            lock.release()

    def append(self, event: E) -> E:
        """Write one event to the disk and return it as written, with its time."""
        if event.event not in KINDS:
            raise ValueError(f"not an event of the ledger: {event}")
        with self.locked():
            seals = [known.seal for known in self.events() if known.seal]
            line = event.line(event.at or now(), seals[-1] if seals else "")
            _append_line(self.path, line)
        return type(event).model_validate_json(line)

    def events(self) -> list[Event]:
        """Every valid event, oldest first; torn and changed lines are left out: see `problems`.

        Raises DataError where the file cannot be read, or is of another format.
        """
        return [event for event in self._parsed() if event is not None]

    def problems(self) -> list[str]:
        """What is wrong with the file, line by line: nothing of it is in `events`."""
        problems = list[str]()
        last: str | None = ""  # None: not known
        for number, event in enumerate(self._parsed(), start=1):
            if event is None:
                problems.append(f"{self.path}: line {number} is torn, or was changed by hand")
                last = None
            elif event.seal:
                if last not in (None, event.after):
                    problems.append(f"{self.path}: an event is missing before line {number}")
                last = event.seal
        return problems

    def _parsed(self) -> list[Event | None]:
        """The event of every line that is not empty; None where it is none."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            what = f"{self.path}: the ledger cannot be read ({error.strerror})"
            raise DataError(what) from error
        return [parse(line, self.path) for line in lines if line.strip()]

    def entries(self) -> list[Entry]:
        """The events folded into one entry per version, in the order in which those appeared."""
        return fold(self.events())


def fold(events: Iterable[Event]) -> list[Entry]:
    """One entry per version, in the order in which the versions first appear."""
    entries: dict[str, Entry] = {}
    for event in events:
        entry = entries.get(event.version, Entry(event.version))
        entries[event.version] = entry.after(event)
    return list(entries.values())


def now() -> str:
    """The time in UTC, as 2022-04-01T12:00:00+00:00."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _append_line(path: Path, line: bytes) -> None:
    """Append and flush to the disk; a torn last line (after a crash) is closed first."""
    with path.open("ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
