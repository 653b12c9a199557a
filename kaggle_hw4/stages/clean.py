"""From finished runs to the room that their checkpoints take."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Freed:
    """Checkpoints of finished runs: nothing reads them again."""

    checkpoints: tuple[Path, ...]
    bytes: int
    deleted: bool


def clean(paths: Iterable[Path], delete: bool) -> Freed:
    """The checkpoints of the finished runs below `paths`, and, if so asked, their deletion.

    One of an unfinished run stays: the run resumes from it.
    """
    from kaggle_hw4.runs import find_runs

    runs = [run for run in find_runs(paths) if run.done and run.checkpoint.is_file()]
    checkpoints = tuple(run.checkpoint for run in runs)
    size = sum(path.stat().st_size for path in checkpoints)
    if delete:
        for path in checkpoints:
            path.unlink()
    return Freed(checkpoints, size, delete)
