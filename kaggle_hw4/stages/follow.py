"""The metrics of runs while they train: event files to which every new line is appended."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.locks import is_locked
from kaggle_hw4.stages.export import EventFile, Exported, event_folder
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.runs import Run

EVERY = 5.0  # seconds between two looks at the logs
PATIENCE = 60.0  # seconds without a new line, after which it is asked whether anything trains


def follow(
    workspace: Workspace,
    paths: Sequence[Path],
    to: Path | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[Exported]:
    """Write the event files of runs, then append what is logged; yield after every look.

    Runs that begin later are followed, too. Ends when there has been no new line for PATIENCE
    seconds and no run is being trained. Raises UsageError where a path is no folder of runs.
    """
    from kaggle_hw4.runs import find_runs

    files: dict[Run, EventFile] = {}
    folder, lines, latest = event_folder(workspace, to), 0, time.monotonic()
    with ExitStack() as stack:
        while True:
            # What is new.
            runs = find_runs(paths)
            for run in runs:
                if logged := list(run.logged()):
                    if run not in files:
                        files[run] = stack.enter_context(EventFile(folder / run.name, run))
                    files[run].update(logged)
            exported = Exported(folder, len(files), sum(len(f.lines) for f in files.values()))
            yield exported

            # Whether more is to come.
            if exported.lines != lines:
                lines, latest = exported.lines, time.monotonic()
            elif time.monotonic() - latest >= PATIENCE:
                if not any(is_locked(run.lock) for run in runs if not run.done):
                    return
                latest = time.monotonic()
            sleep(EVERY)
