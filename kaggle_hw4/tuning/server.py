"""A study on a database server, which coordinators on many machines share."""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import RDBStorage, fail_stale_trials
from sqlalchemy.exc import SQLAlchemyError

from kaggle_hw4.artifact import read_file, write_text
from kaggle_hw4.errors import UsageError
from kaggle_hw4.tuning.retry import retry

HEARTBEAT = 20  # seconds between two heartbeats of a trial
MISSED_HEARTBEATS = 3  # after so many a trial is stale
CONNECTION_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)
# PostgreSQL's advisory locks: two numbers that all coordinators know.
STUDY_LOCK = "pg_advisory_xact_lock(4, 2022)"  # until the transaction ends
FINALS_LOCK = "pg_try_advisory_lock(4, 2023)"  # until the connection is closed


ADDRESS_FILE = "server.txt"  # in the folder of a study
ADDRESS = re.compile(r"(postgres|postgresql|postgresql\+psycopg|sqlite)://")


def parse_address(url: str) -> sqlalchemy.URL:
    """The address of a server or of an SQLite file. Raises UsageError, which repeats nothing of an
    address that is wrong: a password may be anywhere in it.
    """
    how = "use postgresql://… or sqlite:///…"
    if not ADDRESS.match(url):
        scheme = re.match(r"[a-z0-9+]+(?=://)", url)
        what = f"{scheme[0]} is not supported" if scheme else "not the address of a database"
        then = f"{how}, or leave it out for a journal file"
        raise UsageError(what, then, parameter="storage")
    driver = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
    try:
        return sqlalchemy.make_url(driver)
    except (SQLAlchemyError, ValueError) as error:
        then = f"{how}; write %40, %2F and %3A for @, / and : in a password"
        raise UsageError("the address cannot be parsed", then, parameter="storage") from error


def note_address(folder: Path, url: str) -> None:
    """Keep in a study's folder on which server it is: without a password, or options with one."""
    address = parse_address(url)
    plain = address.set(drivername=address.get_backend_name(), query={})
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ADDRESS_FILE, plain.render_as_string(hide_password=True) + "\n")


def noted_address(folder: Path) -> str | None:
    """The address of the server that the study of this folder is on; None: on none."""
    path = folder / ADDRESS_FILE
    return read_file(path).decode("utf-8", "replace").strip() if path.is_file() else None


def has_tables(address: sqlalchemy.URL) -> bool:
    """Whether a study may be there, without creating a file or a table."""
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return False
    engine = sqlalchemy.create_engine(address)
    try:
        return sqlalchemy.inspect(engine).has_table("studies")
    finally:
        engine.dispose()


class Server:
    """A study on PostgreSQL, or on SQLite for a single worker."""

    def __init__(self, address: sqlalchemy.URL, interval: int) -> None:
        self.name = address.render_as_string(hide_password=True)
        self.backend = RDBStorage(
            address.render_as_string(hide_password=False),
            engine_kwargs={"pool_pre_ping": True},  # reconnect to a server that was restarted
            heartbeat_interval=interval,
            grace_period=MISSED_HEARTBEATS * interval,
            heartbeat_stale_trial_callback=retry,
        )
        self.interval = interval
        self.last_heartbeat: dict[int, float] = {}  # of each trial, on this machine's clock

    def study_name(self, name: str) -> str:
        return name

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

    def requeue_stale(self, study: optuna.Study) -> None:
        self._record_missing_heartbeats(study)
        fail_stale_trials(study)

    def redraw(self, trial: optuna.Trial) -> None:
        """A server stores a parameter once, and what many coordinators draw differs anyway."""

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


def reason(error: Exception) -> str:
    """The first line of the database's own message."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    return str(getattr(cause, "orig", cause) or error).strip().split("\n")[0]
