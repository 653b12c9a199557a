"""Locks between processes and, on a disk that they share, between machines.

The lock is flock's where that holds for all who see the disk. Network and FUSE disks may refuse it,
and NFS and Lustre can be mounted so that it holds on one machine only: there it is a lease.
"""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout

from kaggle_hw4.artifact import named_errors

__all__ = ["Timeout", "is_locked", "locked"]

REFUSED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
MOUNTS = Path("/proc/self/mounts")  # a line for each: device, place, kind, options
LOCAL_ONLY = {"nolock", "local_lock=flock", "local_lock=all", "localflock"}
LEASE = 60.0  # seconds without a sign of its holder until a lease is free


@contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock file `path`: for one process at a time, until it ends or is killed.

    Where flock does not hold, the lock is a lease: a file beside it that its holder renews, and
    that is free LEASE seconds after a machine was lost. A holder that was suspended for longer is
    asked to stop. Raises Timeout after so many seconds (-1: waits for ever), and OSError where no
    such file can be written.
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
        if _is_flock_shared(path):
            try:
                lock: BaseFileLock = FileLock(path, timeout, fallback_to_soft=False)
                lock.acquire()
            except OSError as error:  # Timeout is one, too, without a number
                if error.errno not in REFUSED:
                    raise
            else:
                return lock
        lock = SoftFileLease(
            path.with_name(path.name + ".soft"),
            timeout=timeout,
            lease_duration=LEASE,
            on_compromise=lambda _: os.kill(os.getpid(), signal.SIGTERM),
        )
        lock.acquire()
        return lock


def _is_flock_shared(path: Path) -> bool:
    """Whether flock holds for all machines that have mounted the disk of `path`."""
    place, best, options = os.path.realpath(path), "", ""
    with suppress(OSError):
        for line in MOUNTS.read_text(errors="replace").splitlines():
            _, mount, _, flags, *_ = line.split()
            mount = mount.replace(r"\040", " ")
            inside = mount == "/" or place == mount or place.startswith(mount + "/")
            if inside and len(mount) >= len(best):
                best, options = mount, flags
    return not LOCAL_ONLY & set(options.split(","))


def _create(path: Path) -> None:
    """Make the file as the umask says: filelock's own is no other member's of a group."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
