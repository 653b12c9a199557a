"""Replacing a corpus: the old one is kept until the new one has its name, also across a kill."""

import shutil
from pathlib import Path

from kaggle_hw4.artifact import sync_directory
from kaggle_hw4.locks import locked


def swap_in(new: Path, folder: Path) -> None:
    """Rename `new` to `folder`, whose old contents stay complete until then; hold the lock."""
    old = _old_of(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    new.replace(folder)
    sync_directory(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover(folder: Path) -> None:
    """Bring back the corpus that was being replaced in `folder` when its pack was killed."""
    if not folder.exists() and _old_of(folder).is_dir():
        with locked(lock_of(folder)):  # a pack that is active finishes first
            restore(folder)


def restore(folder: Path) -> None:
    """As `recover` does, where the lock is held already; what is left of an old corpus goes."""
    old = _old_of(folder)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    elif old.is_dir():
        old.replace(folder)


def lock_of(folder: Path) -> Path:
    """The lock of whoever packs into `folder`."""
    return folder.with_name(f".{folder.name}.lock")


def _old_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")
