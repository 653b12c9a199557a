"""Where a study is stored: a journal file on one machine, or a server that many machines share.

A trial whose run's process crashed fails and is retried, RETRIES times at most; one whose
coordinator was killed is stale and runs again, however often. A journal has one coordinator at a
time, so that every trial which is RUNNING when it is opened is stale: the same trial waits again.
On a server a trial is stale once its heartbeats stop: it fails and is retried as another trial, so
that a coordinator that was only suspended can no longer write to it.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import optuna
from optuna.storages import BaseStorage

from kaggle_hw4.errors import StorageError, UsageError
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.signals import RESUME
from kaggle_hw4.tuning.journal import JOURNAL, Journal, repair
from kaggle_hw4.tuning.quiet import quiet_optuna
from kaggle_hw4.tuning.server import (
    ADDRESS_FILE,
    CONNECTION_ERRORS,
    HEARTBEAT,
    Server,
    has_tables,
    noted_address,
    parse_address,
    reason,
)

if TYPE_CHECKING:
    from sqlalchemy import URL


class Storage(Protocol):
    name: str  # for messages: without a password

    @property
    def backend(self) -> BaseStorage: ...

    def study_name(self, name: str) -> str:
        """What the study `name` is called in the storage."""

    def lock(self) -> AbstractContextManager[object]:
        """Hold the study's lock: other coordinators of the same study wait for it."""

    def finals_lock(self) -> AbstractContextManager[bool]:
        """Try to become the one coordinator that retrains the finalists; whether that succeeded."""

    def heartbeat(self, trials: Iterable[int]) -> None:
        """Record a heartbeat, where one is due, of trials (by their id) that run here."""

    def requeue_stale(self, study: optuna.Study) -> None:
        """Have the trials whose coordinator was killed run again, as often as that happens."""

    def redraw(self, trial: optuna.Trial) -> None:
        """Have all parameters drawn anew of a trial whose coordinator was killed between two."""


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
            with locked(folder / ".lock", timeout=0):
                repair(folder / JOURNAL)
                yield Journal(folder / JOURNAL)
        except Timeout as error:
            raise UsageError(
                f"{folder} is being tuned by another process",
                "wait for its end, or name a new study",
            ) from error


@contextmanager
def read_storage(folder: Path, url: str | None) -> Iterator[Storage]:
    """The storage of the study in `folder`, or at `url`, for reading while others write.

    Raises UsageError when there is no such study, or it is on a server and there is no URL.
    """
    if url is None and not (folder / JOURNAL).is_file():
        if address := noted_address(folder):
            what = f"the study {folder.name} is on {address}"
            raise UsageError(what, "give that address", parameter="storage")
        known = list_studies(folder.parent)
        raise UsageError(f"there is no study {folder.name!r}", known_studies(known))
    with quiet_optuna():
        if url is None:
            yield Journal(folder / JOURNAL)
        else:
            with _connect(url, 1, HEARTBEAT, create=False) as server:
                yield server


def list_studies(folder: Path) -> list[str]:
    """The names of the studies in `folder`: in a file, or on a server and begun from here."""
    files = (path for name in (JOURNAL, ADDRESS_FILE) for path in folder.glob(f"*/{name}"))
    return sorted({path.parent.name for path in files})


def known_studies(names: Iterable[str]) -> str:
    """What to do where the name of a study is wrong."""
    listed = ", ".join(names)
    return f"there are {listed}" if listed else "`hw4 tune` makes one"


@contextmanager
def _connect(url: str, jobs: int, heartbeat: int, create: bool = True) -> Iterator[Server]:
    """The server at `url`; a database without studies is refused unless `create`."""
    address = parse_address(url)
    if address.get_backend_name() == "sqlite" and jobs > 1:
        raise UsageError(
            f"{jobs} on SQLite: it loses trials when several workers write",
            "use a journal file (no storage URL), or postgresql://…",
            parameter="jobs",
        )
    server = _open(address, heartbeat, create)
    try:
        yield server
    except CONNECTION_ERRORS as error:  # outside of the search, which waits and reconnects
        raise StorageError(
            f"the connection to the study's server was lost ({reason(error)})", RESUME
        ) from error
    finally:
        server.backend.engine.dispose()


def _open(address: "URL", heartbeat: int, create: bool) -> Server:
    name = address.render_as_string(hide_password=True)
    try:
        if not create and not has_tables(address):
            raise UsageError(f"there is no study on {name}", known_studies([]))
        return Server(address, heartbeat)
    except ImportError as error:
        what = f"{address.get_backend_name()} needs psycopg"
        remedy = "pip install 'kaggle_hw4[postgresql]'"
        raise UsageError(what, remedy, parameter="storage") from error
    except CONNECTION_ERRORS as error:
        raise StorageError(f"the study's server cannot be reached ({reason(error)})") from error
    except RuntimeError as error:  # Optuna's word for tables of another version
        raise StorageError(
            f"{name} was made by another version of Optuna",
            "run `optuna storage upgrade` on it, or choose another database",
        ) from error
