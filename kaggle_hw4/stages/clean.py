"""From finished runs to the room that their checkpoints take."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Freed:
    """Checkpoints of finished runs: nothing reads them again."""

    checkpoints: tuple[Path, ...]
    bytes: int
    deleted: bool


def clean(paths: Iterable[Path], delete: bool) -> Freed:
    """The checkpoints of the finished runs and pretrainings below `paths`, and, if so asked, their
    deletion.

    One of an unfinished run stays: the run resumes from it.
    """
    from kaggle_hw4.pretraining.run import find_pretrainings
    from kaggle_hw4.runs import find_runs

    paths = list(paths)
    checkpoints, size = list[Path](), 0
    for run in (*find_runs(paths), *find_pretrainings(paths)):
        if run.done and run.checkpoint.is_file():
            with suppress(FileNotFoundError):  # another process cleans, too
                size += run.checkpoint.stat().st_size
                checkpoints.append(run.checkpoint)
    if delete:
        for path in checkpoints:
            path.unlink(missing_ok=True)
    return Freed(tuple(checkpoints), size, delete)
