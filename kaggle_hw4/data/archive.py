"""Archives from outside: plain files get out, under names of their own, and nothing else does."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import IO

from kaggle_hw4.artifact import new_directory
from kaggle_hw4.errors import DataError, UsageError

LARGEST = 64 * 2**30  # bytes unpacked; the competition's dataset has 7 GB
DENSEST = 100  # bytes unpacked for each byte packed; JSON has about 10, features about 1
SMALL = 64 * 2**20  # bytes that any archive may have, however dense
ENTRY = 512  # bytes that an entry counts for on top of its own, so that their number is bounded

BROKEN = (
    OSError, EOFError, RuntimeError, ValueError,
    zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a .zip or a .tar (of any compression) to the new folder `into`, whole or not at all.

    Absolute names, `..`, links, devices and archives that swell are refused. Only the bytes of
    regular files are written, never their modes or owners.
    """
    if into.exists():
        raise UsageError(f"{into} is already there", "remove it first, or choose another folder")
    try:
        with new_directory(into) as folder:
            allowed = min(LARGEST, max(SMALL, DENSEST * archive.stat().st_size))
            _opener(archive)(archive, _Target(archive, folder, allowed))
    except FileNotFoundError:
        raise DataError(f"{archive}: the archive is missing") from None
    except BROKEN as error:
        raise DataError(f"{archive}: the archive cannot be unpacked ({error})") from None
    return into


def join(parts: list[Path], whole: Path) -> Path:
    """Put an archive together from its parts, in the order of their names."""
    with whole.open("wb") as target:
        for part in sorted(parts):
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.unlink()  # the disk need not hold everything twice
    return whole


def _opener(archive: Path) -> "Callable[[Path, _Target], None]":
    if zipfile.is_zipfile(archive):
        return _unzip
    if tarfile.is_tarfile(archive):
        return _untar
    raise DataError(f"{archive} is neither a .zip nor a .tar archive")


class _Target:
    """A folder that takes plain files by their relative names, up to a number of bytes."""

    def __init__(self, archive: Path, folder: Path, allowed: int) -> None:
        self.archive = archive
        self.folder = folder
        self.left = self.allowed = allowed

    def path(self, name: str, size: int) -> Path:
        """Where an entry may go; every entry is asked for, whether it will be written or not."""
        told = PureWindowsPath(name)  # which knows `/`, `\` and `C:`: all that any system may obey
        if told.drive or told.root or ".." in told.parts or not told.parts:
            raise self.refusal(f"{name!r} would be written outside its folder")
        self.left -= size + ENTRY
        if self.left < 0:
            raise self.refusal(f"it unpacks to more than {self.allowed / 2**20:.0f} MiB")
        return self.folder.joinpath(*told.parts)

    def write(self, path: Path, source: IO[bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, 2**20)

    def refusal(self, reason: str) -> DataError:
        return DataError(f"{self.archive}: refused, {reason}", "nothing was unpacked")


def _unzip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = target.path(entry.filename, entry.file_size)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.refusal(f"{entry.filename!r} is a link or a device")
            if not entry.is_dir():
                with opened.open(entry) as source:
                    target.write(path, source)


def _untar(archive: Path, target: _Target) -> None:
    with tarfile.open(archive, "r:*") as opened:
        for entry in opened:
            path = target.path(entry.name, entry.size)
            if not (entry.isfile() or entry.isdir()):
                raise target.refusal(f"{entry.name!r} is a link or a device")
            source = opened.extractfile(entry)
            if source is not None:
                with source:
                    target.write(path, source)
