"""The n-th operation on a file below a folder fails, or kills its process; before that all work.

An operation is what reaches the kernel: opening for writing, each write of a buffer, fsync, a
rename, a link, a deletion, a new folder. They are counted over a command and the workers that it
forks. hw4 is not asked: the functions of Python that all its writes go through are replaced in the
child's process.
"""

import builtins
import errno
import io
import mmap
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

KILL, DISK_FULL, IO_ERROR = "kill", "ENOSPC", "EIO"
FAULTS = (KILL, DISK_FULL, IO_ERROR)
NUMBERS = {DISK_FULL: errno.ENOSPC, IO_ERROR: errno.EIO}
NEEDS_SPACE = ("open", "write", "mkdir", "link", "fsync")  # what fails from then on, on a full disk
ON_PATHS = ("rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Operations:
    """Counts the operations below `root`; number `stop_at` (from 1) meets with `fault`."""

    def __init__(self, root: Path, stop_at: int = 0, fault: str = KILL) -> None:
        self.root, self.stop_at, self.fault = str(root), stop_at, fault
        self._shared = mmap.mmap(-1, 8)  # seen by the parent, and by the workers of the child

    @property
    def count(self) -> int:
        """Operations so far."""
        return int(struct.unpack("q", self._shared[:8])[0])

    @property
    def reached(self) -> bool:
        return 0 < self.stop_at <= self.count

    def install(self) -> None:
        """Replace Python's functions in this process, which is a child's."""
        for name in ON_PATHS:
            setattr(os, name, self._on_path(name, getattr(os, name)))
        os.fsync = self._on_descriptor(os.fsync)
        self._os_open, self._io_open = os.open, io.open
        os.open = self._open_descriptor
        io.open = builtins.open = self._open_file  # type: ignore[assignment]

    def meet(self, kind: str, name: object, torn: Callable[[], object] = lambda: None) -> None:
        """One more operation; the fault happens after `torn`, the part of it that is done."""
        count = self.count + 1
        self._shared[:8] = struct.pack("q", count)
        full = self.fault == DISK_FULL and kind in NEEDS_SPACE
        if self.stop_at and (count == self.stop_at or (full and count > self.stop_at)):
            torn()
            self._fail(name)

    def _fail(self, name: object) -> NoReturn:
        if self.fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        number = NUMBERS[self.fault]
        # As the kernel's: an error of a descriptor names no file.
        if name is None:
            raise OSError(number, os.strerror(number))
        raise OSError(number, os.strerror(number), str(name))

    def _below(self, path: object) -> bool:
        if isinstance(path, int):
            return False
        text = os.path.join(os.getcwd(), os.fsdecode(path))  # type: ignore[arg-type]  # noqa: PTH118, PTH109
        return text.startswith(self.root + "/")

    def _on_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any, *arguments: Any, **options: Any) -> Any:
            # With dir_fd (shutil.rmtree) the path is relative to a folder that is not known here.
            if options.get("dir_fd") is not None or self._below(path):
                self.meet(name, path)
            return real(path, *arguments, **options)

        return operation

    def _on_descriptor(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            self.meet("fsync", None)
            real(descriptor)

        return fsync

    def _open_descriptor(self, path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & WRITING and self._below(path):
            self.meet("open", path)
        return self._os_open(path, flags, *rest, **options)

    def _open_file(
        self, file: Any, mode: str = "r", buffering: int = -1, *text: Any, **more: Any
    ) -> Any:
        if not set(mode) & set("wax+") or not self._below(file):
            return self._io_open(file, mode, buffering, *text, **more)
        self.meet("open", file)
        raw = Watched(self, file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, *text, **more)


class Watched(io.FileIO):
    """A file each of whose writes is an operation; the one that fails has written the half."""

    def __init__(self, operations: Operations, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self.operations = operations

    def write(self, data: Any) -> int:
        half = bytes(data)[: len(data) // 2]
        self.operations.meet("write", None, lambda: super(Watched, self).write(half))
        return super().write(data)
