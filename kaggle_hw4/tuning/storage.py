"""Where a study lives: a journal file on one machine, or a server that many machines share.

A trial whose process died is failed and asked again, RETRIES times at most (Optuna's
RetryHeartbeatStaleTrialCallback). A journal has one owner, so that what is RUNNING when it is
opened is dead; on a server the dead are those who stopped giving signs of life.
"""

import json
import logging
import os
import re
import time
import warnings
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

MISSED = 3  # signs of life, after which a trial counts as dead
JOURNAL = "journal.log"
AWAY = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's log and its warnings of things that are experimental, off within the block."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)


with quiet_optuna():
    retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES, inherit_intermediate_values=True)


class Storage(Protocol):
    name: str  # as a person may read it

    @property
    def backend(self) -> BaseStorage: ...

    def turn(self) -> AbstractContextManager[object]:
        """Hold off the other coordinators of the same study."""

    def beat(self, trials: Iterable[int]) -> None:
        """Give a sign of life for the trials (by their id) that run here."""

    def bury(self, study: optuna.Study) -> None:
        """Fail the trials whose coordinator is dead."""

    def alone(self) -> AbstractContextManager[bool]:
        """Whether this coordinator is the one that retrains the finalists."""


class Journal:
    """An Optuna journal of one coordinator; `optuna-dashboard` opens the same file."""

    def __init__(self, path: Path) -> None:
        self.name, self.backend = str(path), JournalStorage(JournalFileBackend(str(path)))
        self.buried = False

    def turn(self) -> AbstractContextManager[object]:
        return nullcontext()

    def beat(self, trials: Iterable[int]) -> None:
        """Nobody else looks."""

    def bury(self, study: optuna.Study) -> None:
        if not self.buried:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)
        self.buried = True

    def alone(self) -> AbstractContextManager[bool]:
        return nullcontext(True)


class Server:
    """A study on PostgreSQL, or on SQLite for a single worker."""

    def __init__(self, url: str, heartbeat: int) -> None:
        driver = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
        self.name = sqlalchemy.make_url(driver).render_as_string(hide_password=True)
        self.backend = RDBStorage(
            driver,
            engine_kwargs={"pool_pre_ping": True},  # a server that was restarted is joined again
            heartbeat_interval=heartbeat,
            grace_period=MISSED * heartbeat,
            heartbeat_stale_trial_callback=retry,
        )
        self.heartbeat = heartbeat
        self.beats: dict[int, float] = {}  # when each trial last gave a sign

    @contextmanager
    def turn(self) -> Iterator[None]:
        with self.backend.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(4, 2022)"))
            yield

    def beat(self, trials: Iterable[int]) -> None:
        now = time.monotonic()
        for trial in trials:
            if now - self.beats.get(trial, -float("inf")) > self.heartbeat:
                self.backend.record_heartbeat(trial)
                self.beats[trial] = now

    def bury(self, study: optuna.Study) -> None:
        self._find_silent(study)
        fail_stale_trials(study)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        engine = self.backend.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            mine = connection.dialect.name != "postgresql" or connection.scalar(
                sqlalchemy.text("SELECT pg_try_advisory_lock(4, 2023)")
            )
            yield bool(mine)  # closing the connection lets go of it

    def _find_silent(self, study: optuna.Study) -> None:
        """Note the time of trials that never gave a sign: their coordinator died in between.

        Optuna waits for ever for those.
        """
        silent = sqlalchemy.text(
            "SELECT trial_id FROM trials WHERE state = 'RUNNING' AND study_id = :study"
            " AND trial_id NOT IN (SELECT trial_id FROM trial_heartbeats)"
        )
        with self.backend.engine.begin() as connection:
            found = connection.execute(silent, {"study": study._study_id}).scalars().all()
        for trial in found:
            self.backend.record_heartbeat(trial)


@contextmanager
def open_storage(
    folder: Path, url: str | None, jobs: int = 1, heartbeat: int = 20
) -> Iterator[Storage]:
    """The storage of the study in `folder`, for its coordinator: repaired, and locked if a file."""
    with quiet_optuna():
        if url is None:
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / ".lock", timeout=0)
            try:
                with lock:
                    repair(folder / JOURNAL)
                    yield Journal(folder / JOURNAL)
            except filelock.Timeout:
                raise UsageError(f"{folder} is being tuned by another process") from None
        else:
            with _connect(url, jobs, heartbeat) as server:
                yield server


@contextmanager
def look_into(folder: Path, url: str | None) -> Iterator[Storage]:
    """The storage of the study in `folder`, to be read; UsageError when there is none."""
    if url is None and not (folder / JOURNAL).is_file():
        known = sorted(p.parent.name for p in folder.parent.glob(f"*/{JOURNAL}"))
        there = f"there are {', '.join(known)}" if known else "`hw4 tune --variant boss` makes one"
        raise UsageError(f"there is no study {folder.name!r}", there)
    with quiet_optuna():
        if url is None:
            yield Journal(folder / JOURNAL)
        else:
            with _connect(url, 1, 20) as server:
                yield server


@contextmanager
def _connect(url: str, jobs: int, heartbeat: int) -> Iterator[Server]:
    if not url.startswith(("postgresql", "postgres:", "sqlite:")):
        raise UsageError(f"--storage {url.partition(':')[0]}: postgresql://… or sqlite:///…")
    if url.startswith("sqlite") and jobs > 1:
        raise UsageError(
            f"--jobs {jobs} on SQLite: it loses trials when several workers write",
            "leave --storage away (a journal file), or use postgresql://…",
        )
    try:
        server = Server(url, heartbeat)
    except ImportError:
        raise UsageError(
            "--storage postgresql://… needs psycopg", "pip install 'kaggle_hw4[postgresql]'"
        ) from None
    except AWAY as error:
        raise StorageError(f"the study's server cannot be reached ({reason(error)})") from None
    try:
        yield server
    except AWAY as error:  # where nobody waits for it to come back
        raise StorageError(
            f"the study's server went away ({reason(error)})", "the same command goes on"
        ) from None
    finally:
        server.backend.engine.dispose()


def repair(path: Path) -> None:
    """Cut off what a killed writer left: a torn last line, and the lock on it.

    Raises DataError where a line in the middle is none: then it was not a kill.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    kept = len(lines)
    while kept and not _is_whole(lines[kept - 1]):
        kept -= 1
    for number, line in enumerate(lines[:kept], 1):
        if not _is_whole(line):
            raise DataError(f"{path}: line {number} is damaged", "name a new study with --study")
    if kept < len(lines):
        os.truncate(path, sum(map(len, lines[:kept])))


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def reason(error: Exception) -> str:
    """The first line of what the database itself said."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    return str(getattr(cause, "orig", cause) or error).strip().split("\n")[0]
