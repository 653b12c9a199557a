"""Unpacking archives of untrusted origin: regular files below one folder, and nothing else."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PureWindowsPath
from typing import IO

from kaggle_hw4.artifact import new_directory
from kaggle_hw4.errors import DataError, UsageError

MAX_BYTES = 64 * 2**30  # unpacked; the competition's dataset has 7 GB
MAX_RATIO = 100  # unpacked to packed bytes; JSON has about 10, features about 1
ALWAYS_ALLOWED = 64 * 2**20  # bytes that any archive may unpack to
ENTRY_BYTES = 512  # that every entry counts for besides its size, which bounds their number
MAX_HEADER = 64 * 2**10  # bytes of a .tar's long name or pax header, which is read into memory
HEADERS = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip

BROKEN = (
    OSError, EOFError, RuntimeError, ValueError,
    zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a .zip or a .tar (of any compression) to the new folder `into`, atomically.

    Absolute names, `..`, links, devices and decompression bombs are refused. Only the contents of
    regular files are written, not their modes or owners. Raises UsageError if `into` exists and
    DataError for an archive that is missing, damaged or refused, or too large for the memory.
    """
    if into.exists():
        raise UsageError(f"{into} exists already", "delete it, or choose another folder")
    try:
        with new_directory(into) as folder:
            allowed = min(MAX_BYTES, max(ALWAYS_ALLOWED, MAX_RATIO * archive.stat().st_size))
            _unpack(archive, _Target(archive, folder, allowed))
    except FileNotFoundError as error:
        raise DataError(f"{archive}: the archive is missing") from error
    except MemoryError as error:
        what = f"{archive}: unpacking it needs more memory than there is"
        raise DataError(what, "nothing was unpacked") from error
    except BROKEN as error:
        reason = f"{error!s:.300}"
        raise DataError(f"{archive}: the archive cannot be unpacked ({reason})") from error
    return into


def join(parts: list[Path], whole: Path) -> Path:
    """Concatenate the `parts` of an archive into `whole`, in the order of their names, and delete
    them.
    """
    with whole.open("wb") as target:
        for part in sorted(parts):
            with part.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.unlink()  # at once: the disk need not hold everything twice
    return whole


def _unpack(archive: Path, target: "_Target") -> None:
    if not archive.is_file():
        exists = archive.exists()
        raise DataError(
            f"{archive} is no regular file" if exists else f"{archive}: the archive is missing"
        )
    if zipfile.is_zipfile(archive):
        _unzip(archive, target)
        return
    with _open_tar(archive, target) as opened:
        _untar(opened, target)


def _open_tar(archive: Path, target: "_Target") -> tarfile.TarFile:
    """Not checked by tarfile.is_tarfile, which reads the first header, of whatever size, into
    memory.
    """
    try:
        return tarfile.open(archive, "r:*", tarinfo=_bounded(target))
    except tarfile.ReadError as error:
        raise DataError(f"{archive} is neither a .zip nor a .tar archive") from error


class _Target:
    """A folder to unpack into, up to `allowed` bytes."""

    def __init__(self, archive: Path, folder: Path, allowed: int) -> None:
        self.archive = archive
        self.folder = folder
        self.left = self.allowed = allowed

    def path(self, name: str, size: int) -> Path:
        """The path of an entry; also called for entries that are not written, which count, too."""
        # Windows paths know `/`, `\` and `C:`: everything that any system interprets.
        relative = PureWindowsPath(name)
        if relative.drive or relative.root or ".." in relative.parts or not relative.parts:
            raise self.refusal(f"{name!r:.200} would be written outside its folder")
        self.count(size)
        self.count(ENTRY_BYTES)
        return self.folder.joinpath(*relative.parts)

    def count(self, size: int) -> None:
        """Take `size` bytes off the allowance."""
        if size < 0:
            raise self.refusal("an entry has a negative size")
        self.left -= size
        if self.left < 0:
            raise self.refusal(f"it unpacks to more than {self.allowed / 2**20:.0f} MiB")

    def write(self, path: Path, source: IO[bytes]) -> None:
        """Copy an entry to its `path`, which must not exist yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(source, file, 2**20)

    def refusal(self, reason: str) -> DataError:
        """The error to raise for a hostile archive."""
        return DataError(f"{self.archive}: refused, {reason}", "nothing was unpacked")


def _unzip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = target.path(entry.filename, entry.file_size)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.refusal(f"{entry.filename!r:.200} is a link or a device")
            if not entry.is_dir():
                with opened.open(entry) as source:
                    target.write(path, source)


def _untar(opened: tarfile.TarFile, target: _Target) -> None:
    while (entry := opened.next()) is not None:
        path = target.path(entry.name, entry.size)
        if not (entry.isfile() or entry.isdir()):
            raise target.refusal(f"{entry.name!r:.200} is a link or a device")
        source = opened.extractfile(entry)
        if source is not None:
            with source:
                target.write(path, source)
        opened.members = []  # type: ignore[attr-defined]  # it keeps every entry, headers and all


def _bounded(target: _Target) -> type[tarfile.TarInfo]:
    """A kind of entry whose headers are counted and bounded before they are read into memory."""

    class Entry(tarfile.TarInfo):
        def _proc_member(self, opened: tarfile.TarFile) -> tarfile.TarInfo:
            if self.size < 0:
                raise target.refusal("an entry has a negative size")
            if self.type in HEADERS:
                if self.size > MAX_HEADER:
                    raise target.refusal(f"it has a header of more than {MAX_HEADER // 2**10} KiB")
                target.count(self.size + ENTRY_BYTES)
            if self.type == tarfile.GNUTYPE_SPARSE:
                self._sparse()
            return super()._proc_member(opened)  # type: ignore[misc, no-any-return]

        def _sparse(self, *_: object) -> None:
            raise target.refusal("it has a sparse file")

        _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _sparse

    return Entry
