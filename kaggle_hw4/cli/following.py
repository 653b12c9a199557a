"""hw4 runs export --follow, and how TensorBoard is started."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.cli.output import say
from kaggle_hw4.errors import DataError, Interrupted
from kaggle_hw4.pace import Pace
from kaggle_hw4.progress import waiting
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.stages.export import Exported


def follow_runs(place: Workspace, paths: Sequence[Path], to: Path | None) -> "Exported":
    """Follow runs until nothing is being trained, or Ctrl-C; what has been written by then."""
    from kaggle_hw4.stages.export import event_folder
    from kaggle_hw4.stages.follow import follow

    say("ends when nothing has been trained for a minute, or at Ctrl-C; in another terminal:")
    say(f"  {logs_hint(shown(event_folder(place, to)))}")
    exported, pace = None, Pace()
    try:
        with waiting() as status:
            for exported in follow(place, paths, to):
                text = f"{exported.lines:,} lines of {exported.runs:,} runs"
                if sys.stderr.isatty():
                    status(text)
                elif pace.is_due():
                    pace.say("follow", text)
    except Interrupted:  # how one ends it
        if exported is None:
            raise
    if exported is None or not exported.lines:
        raise DataError("these runs have logged nothing yet", "`hw4 train` writes their metrics")
    return exported


def logs_hint(path: str) -> str:
    """The command that shows event files; the extra writes them and has no TensorBoard."""
    from shlex import quote

    command = f"tensorboard --logdir {quote(path)}"
    return command if shutil.which("tensorboard") else f"pip install tensorboard && {command}"
