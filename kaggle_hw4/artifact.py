"""Artifacts on disk: atomic writes, hashes, and the provenance that they carry."""

import errno
import hashlib
import json
import os
import platform
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from kaggle_hw4.errors import DataError

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
Progress = Callable[[int, int], None]  # (done, total)

BLOCK = 2**22  # bytes of a file that are hashed at a time
_hashes: dict[tuple[Path, int, int], str] = {}  # of files, by their time and size

# What network and FUSE disks answer where they cannot make something durable.
NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR}
NO_SYNC |= {errno.EACCES, errno.EPERM}


def write_bytes(path: Path, data: bytes, *, replace: bool = True) -> str:
    """Write `data` to `path` atomically (temporary file, fsync, rename); return its sha256.

    With `replace=False` an existing file is kept, and FileExistsError raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with named_errors(path):
            with temporary.open("xb") as file:  # its mode is what the umask says
                file.write(data)
                sync_file(file)
            if replace:
                temporary.replace(path)
            else:
                _rename_exclusively(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error counts
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return hashlib.sha256(data).hexdigest()


def write_pending(path: Path, data: bytes) -> str:
    """Write `data` to `<path>.new`, which `settle` moves to `path`; return its sha256."""
    return write_bytes(path.with_name(f"{path.name}.new"), data)


def settle(folder: Path, sha256: Mapping[str, str]) -> None:
    """Replace each file of `folder` that `sha256` names by what was written with `write_pending`,
    if that has this hash.

    Several files change as one: all are pending when a manifest with their hashes replaces that of
    the old ones, and whoever reads a file settles it first.
    """
    for name, expected in sha256.items():
        pending = folder / f"{name}.new"
        with suppress(FileNotFoundError):  # another process has settled it
            if pending.is_file() and sha256_file(pending) == expected:
                pending.replace(folder / name)


def discard_pending(folder: Path, sha256: Mapping[str, str]) -> None:
    """Settle what `sha256` names in `folder`, and delete what else is pending there."""
    settle(folder, sha256)
    for pending in folder.glob("*.new"):
        pending.unlink(missing_ok=True)


def _rename_exclusively(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, which must not exist yet: FileExistsError."""
    try:
        os.link(temporary, path)  # the one way to rename that never replaces
    except FileExistsError:
        raise
    except OSError as error:  # a disk without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        temporary.rename(path)
    else:
        temporary.unlink()


def write_text(path: Path, text: str, *, replace: bool = True) -> str:
    """Write `text` as UTF-8, atomically, as `write_bytes` does; return the file's sha256."""
    return write_bytes(path, text.encode(), replace=replace)


def write_json(path: Path, value: Any) -> str:
    """Write `value` as JSON, atomically; return the file's sha256."""
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_model(model: type[M], path: Path, what: str, remedy: str) -> M:
    """The JSON in `path` as a `model`; DataError says why it is not `what`, and the `remedy`."""
    from pydantic import ValidationError

    try:
        return model.model_validate_json(read_file(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: not {what} ({field}: {first['msg']})", remedy) from error


def read_file(path: Path) -> bytes:
    """The bytes of a regular file; OSError for anything else."""
    _check_regular(path)
    return path.read_bytes()


def _check_regular(path: Path) -> None:
    """OSError for what is there and no regular file, since a pipe would never end; and for a name
    that no file can have.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no name of a file", str(path))
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EINVAL
        raise OSError(code, os.strerror(code) if path.is_dir() else "not a regular file", str(path))


def sync_directory(path: Path) -> None:
    """Make a rename in the folder `path` durable (fsync), on systems and disks that can."""
    if os.name == "posix":
        with named_errors(path), suppress_refusal():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def sync_file(file: IO[Any]) -> None:
    """Make what was written to `file` durable, on disks that can."""
    file.flush()
    with suppress_refusal():
        os.fsync(file.fileno())


@contextmanager
def suppress_refusal() -> Iterator[None]:
    """Leave durability to disks that know no fsync; a disk that fails to write is an error."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Give `path` to an OSError that names no file, as those of a full disk do not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `path` when the block succeeds, and deleted when
    it fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name) / path.name
        folder.mkdir()
        with named_errors(path):
            yield folder
            folder.replace(path)
    sync_directory(path.parent)


def sha256_file(path: Path, progress: Progress = lambda *_: None) -> str:
    """The sha256 of a regular file's contents; OSError for anything else. `progress(done, total)`
    counts bytes.
    """
    _check_regular(path)
    digest, block, done = hashlib.sha256(), memoryview(bytearray(BLOCK)), 0
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while count := file.readinto(block):
            digest.update(block[:count])
            done += count
            progress(done, size)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a JSON value; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def verify(path: Path, sha256: str, remedy: str, progress: Progress = lambda *_: None) -> None:
    """Raise DataError, with `remedy`, unless `path` is a file with this sha256. A file is hashed
    once per time and size of it: a corpus has gigabytes. `progress(done, total)` counts its bytes.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing", remedy)
    stat = path.stat()
    state = path, stat.st_mtime_ns, stat.st_size
    if state not in _hashes:
        _hashes[state] = sha256_file(path, progress)
    actual = _hashes[state]
    if actual != sha256:
        raise DataError(f"{path} has changed: sha256 {actual[:12]}, expected {sha256[:12]}", remedy)


def provenance() -> dict[str, str]:
    """The versions and the commit that make an artifact, to be stored in it."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("kaggle_hw4", "torch", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions | {"commit": commit()}


@cache
def commit() -> str:
    """The git commit of the running code, with a `+` if the working tree differs from it."""
    package = Path(__file__).parent
    try:
        head = _git(package, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(package, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    process = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return process.stdout.strip()
