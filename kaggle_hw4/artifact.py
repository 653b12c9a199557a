"""Files that are there whole or not at all, and that say what made them."""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kaggle_hw4.errors import DataError

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")


def write_bytes(path: Path, data: bytes) -> str:
    """Write `data` to a temporary neighbour, flush it to the disk, rename it; return its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return hashlib.sha256(data).hexdigest()


def write_text(path: Path, text: str) -> str:
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> str:
    return write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_model(model: type[M], path: Path, what: str, remedy: str) -> M:
    """The JSON in `path` as a `model`; DataError names `what` and the first thing wrong with it."""
    from pydantic import ValidationError

    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: not {what} ({where}: {first['msg']})", remedy) from None


def sync_directory(path: Path) -> None:
    """Make a rename in `path` last through a power cut (where directories can be opened)."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary neighbour of `path` that takes its name only when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True
    ) as name:
        made = Path(name) / path.name
        made.mkdir()
        yield made
        made.replace(path)
    sync_directory(path.parent)


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """A hash of a plain value that does not depend on the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def verify(path: Path, sha256: str, remedy: str) -> None:
    """Raise DataError unless `path` is there with exactly this content."""
    if not path.is_file():
        raise DataError(f"{path} is missing", remedy)
    stat = path.stat()
    found = _sha256_once(path, stat.st_mtime_ns, stat.st_size)
    if found != sha256:
        raise DataError(f"{path} has changed: sha256 {found[:12]}, expected {sha256[:12]}", remedy)


@cache
def _sha256_once(path: Path, *_state: int) -> str:
    """A file's hash, computed once while the file stays as it is: a corpus has gigabytes."""
    return sha256_file(path)


def provenance() -> dict[str, str]:
    """The versions and the commit that an artifact carries as what made it."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("kaggle_hw4", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"commit": commit()}


@cache
def commit() -> str:
    """The git commit of the code that runs, with `+` after it when files have been changed."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(here, "status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
