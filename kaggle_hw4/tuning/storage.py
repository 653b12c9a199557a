"""Where a study is stored: a journal file on one machine, or a server that many machines share.

A trial whose process crashed fails and is retried, RETRIES times at most (Optuna's
RetryHeartbeatStaleTrialCallback). A journal has one coordinator at a time, so that every trial
which is RUNNING when it is opened is stale; on a server a trial is stale once its heartbeats stop.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import filelock
import optuna
import sqlalchemy
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from kaggle_hw4.errors import DataError, StorageError, UsageError
from kaggle_hw4.execution.executor import RETRIES
from kaggle_hw4.signals import RESUME
from kaggle_hw4.tuning.quiet import quiet_optuna

HEARTBEAT = 20  # seconds between two heartbeats of a trial
MISSED_HEARTBEATS = 3  # after so many a trial is stale
JOURNAL = "journal.log"
CONNECTION_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
# PostgreSQL's advisory locks: two numbers that all coordinators know.
STUDY_LOCK = "pg_advisory_xact_lock(4, 2022)"  # until the transaction ends
FINALS_LOCK = "pg_try_advisory_lock(4, 2023)"  # until the connection is closed

with quiet_optuna():
    retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES, inherit_intermediate_values=True)


class Storage(Protocol):
    name: str  # for messages: without a password

    @property
    def backend(self) -> BaseStorage: ...

    def lock(self) -> AbstractContextManager[object]:
        """Hold the study's lock: other coordinators of the same study wait for it."""

    def finals_lock(self) -> AbstractContextManager[bool]:
        """Try to become the one coordinator that retrains the finalists; whether that succeeded."""

    def heartbeat(self, trials: Iterable[int]) -> None:
        """Record a heartbeat, where one is due, of trials (by their id) that run here."""

    def fail_stale(self, study: optuna.Study) -> None:
        """Fail the trials whose coordinator crashed."""


class Journal:
    """An Optuna journal of one coordinator; `optuna-dashboard` opens the same file."""

    def __init__(self, path: Path) -> None:
        self.name, self.backend = str(path), JournalStorage(JournalFileBackend(str(path)))
        self.stale_failed = False

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()  # open_storage holds the file's own lock

    def finals_lock(self) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def heartbeat(self, trials: Iterable[int]) -> None:
        """No other coordinator reads this file."""

    def fail_stale(self, study: optuna.Study) -> None:
        if not self.stale_failed:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)
        self.stale_failed = True


class Server:
    """A study on PostgreSQL, or on SQLite for a single worker."""

    def __init__(self, url: str, interval: int) -> None:
        driver = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        self.name = sqlalchemy.make_url(driver).render_as_string(hide_password=True)
        self.backend = RDBStorage(
            driver,
            engine_kwargs={"pool_pre_ping": True},  # reconnect to a server that was restarted
            heartbeat_interval=interval,
            grace_period=MISSED_HEARTBEATS * interval,
            heartbeat_stale_trial_callback=retry,
        )
        self.interval = interval
        self.last_heartbeat: dict[int, float] = {}  # of each trial, on this machine's clock

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self.backend.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text(f"SELECT {STUDY_LOCK}"))
            yield

    @contextmanager
    def finals_lock(self) -> Iterator[bool]:
        engine = self.backend.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            shared = connection.dialect.name == "postgresql"
            query = sqlalchemy.text(f"SELECT {FINALS_LOCK}")
            yield bool(connection.scalar(query)) if shared else True

    def heartbeat(self, trials: Iterable[int]) -> None:
        now = time.monotonic()
        for trial in trials:
            if now - self.last_heartbeat.get(trial, -float("inf")) > self.interval:
                self.backend.record_heartbeat(trial)
                self.last_heartbeat[trial] = now

    def fail_stale(self, study: optuna.Study) -> None:
        self._record_missing_heartbeats(study)
        fail_stale_trials(study)

    def _record_missing_heartbeats(self, study: optuna.Study) -> None:
        """Record one heartbeat for each trial that has none: its coordinator crashed before the
        first, and Optuna never counts a trial without any as stale.
        """
        query = sqlalchemy.text(
            "SELECT trial_id FROM trials WHERE state = 'RUNNING' AND study_id = :study"
            " AND trial_id NOT IN (SELECT trial_id FROM trial_heartbeats)"
        )
        with self.backend.engine.begin() as connection:
            trials = connection.execute(query, {"study": study._study_id}).scalars().all()
        for trial in trials:
            self.backend.record_heartbeat(trial)


@contextmanager
def open_storage(
    folder: Path, url: str | None, jobs: int = 1, heartbeat: int = HEARTBEAT
) -> Iterator[Storage]:
    """The storage of the study in `folder`, or at `url`, for a coordinator with so many jobs.

    A journal is repaired and locked. Raises UsageError where it is locked already, or where the
    URL cannot serve, and StorageError where the server cannot be reached.
    """
    with quiet_optuna():
        if url is not None:
            with _connect(url, jobs, heartbeat) as server:
                yield server
            return
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(folder / ".lock", timeout=0):
                repair(folder / JOURNAL)
                yield Journal(folder / JOURNAL)
        except filelock.Timeout as error:
            raise UsageError(
                f"{folder} is being tuned by another process",
                "wait for its end, or name a new study",
            ) from error


@contextmanager
def read_storage(folder: Path, url: str | None) -> Iterator[Storage]:
    """The storage of the study in `folder`, or at `url`, for reading while others write.

    Raises UsageError when there is no such study.
    """
    if url is None and not (folder / JOURNAL).is_file():
        known = sorted(path.parent.name for path in folder.parent.glob(f"*/{JOURNAL}"))
        raise UsageError(f"there is no study {folder.name!r}", known_studies(known))
    with quiet_optuna():
        if url is None:
            yield Journal(folder / JOURNAL)
        else:
            with _connect(url, 1, HEARTBEAT) as server:
                yield server


def known_studies(names: Iterable[str]) -> str:
    """What to do where the name of a study is wrong."""
    listed = ", ".join(names)
    return f"there are {listed}" if listed else "`hw4 tune` makes one"


@contextmanager
def _connect(url: str, jobs: int, heartbeat: int) -> Iterator[Server]:
    scheme = url.partition(":")[0]
    if not url.startswith(("postgresql", "postgres:", "sqlite:")):
        raise UsageError(
            f"{scheme} is not supported",
            "use postgresql://… or sqlite:///…, or none for a journal file",
            parameter="storage",
        )
    if scheme == "sqlite" and jobs > 1:
        raise UsageError(
            f"{jobs} on SQLite: it loses trials when several workers write",
            "use a journal file (no storage URL), or postgresql://…",
            parameter="jobs",
        )
    try:
        server = Server(url, heartbeat)
    except ImportError as error:
        raise UsageError(
            f"{scheme} needs psycopg", "pip install 'kaggle_hw4[postgresql]'", parameter="storage"
        ) from error
    except CONNECTION_ERRORS as error:
        raise StorageError(f"the study's server cannot be reached ({reason(error)})") from error
    try:
        yield server
    except CONNECTION_ERRORS as error:  # outside of the search, which waits and reconnects
        raise StorageError(
            f"the connection to the study's server was lost ({reason(error)})", RESUME
        ) from error
    finally:
        server.backend.engine.dispose()


def repair(path: Path) -> None:
    """Cut off what a killed writer left in a journal: an incomplete last line, and its lock.

    Raises DataError where a line before the end is damaged: that was not a kill.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    # Leave out incomplete lines at the end.
    kept = len(lines)
    while kept and not _is_complete(lines[kept - 1]):
        kept -= 1
    # Refuse any other.
    for number, line in enumerate(lines[:kept], 1):
        if not _is_complete(line):
            raise DataError(f"{path}: line {number} is damaged", "name a new study")
    if kept < len(lines):
        os.truncate(path, sum(map(len, lines[:kept])))


def _is_complete(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def reason(error: Exception) -> str:
    """The first line of the database's own message."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    return str(getattr(cause, "orig", cause) or error).strip().split("\n")[0]
