"""Locks between processes, also on disks that refuse flock, as network and FUSE disks do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from kaggle_hw4.artifact import named_errors

__all__ = ["Timeout", "is_locked", "locked"]

REFUSED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file `path`: for one process at a time, until it ends or is killed.

    Where the disk refuses flock, the lock is a file beside it that exists only while it is held;
    the next process removes that of a process which was killed on the same machine. Raises Timeout
    after so many seconds (-1: waits for ever), and OSError where no such file can be written.
    """
    lock = _acquire(path, timeout)
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file `path`; that the file is there says nothing."""
    if not path.exists():
        return False
    try:
        with locked(path, timeout=0):
            return False
    except Timeout:
        return True


def _acquire(path: Path, timeout: float) -> BaseFileLock:
    with named_errors(path):
        _create(path)
        try:
            lock: BaseFileLock = FileLock(path, timeout, fallback_to_soft=False)
            lock.acquire()
        except OSError as error:  # Timeout is one, too, without a number
            if error.errno not in REFUSED:
                raise
            lock = SoftFileLock(path.with_name(path.name + ".soft"), timeout)
            lock.acquire()
        return lock


def _create(path: Path) -> None:
    """Make the file as the umask says: filelock's own is no other member's of a group."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
