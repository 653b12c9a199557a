"""`hw4`, whose training waits for as long as a file is there, where it has logged a line after its
first checkpoint: a signal that a test sends meanwhile comes in the middle of the training, however
fast or busy the machine is, and a kill leaves a line that a resume has to drop.
"""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from kaggle_hw4.__main__ import main
from kaggle_hw4.runs import RunFolder

FILE = "HW4_TEST_HELD_BY"  # a variable of the environment
COMMAND = ("-m", "tests.held")


class Hold:
    """The file that holds a training, made before the command is started."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "held"
        self.file.touch()
        self.environment = {FILE: str(self.file)}

    def wait(self, process: subprocess.Popen[str], seconds: float) -> None:
        """Until the training of `process` waits."""
        until = time.monotonic() + seconds
        while not reached_by(self.file).exists():
            assert time.monotonic() < until, "the training never came so far"
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    def release(self) -> None:
        self.file.unlink()


def reached_by(file: Path) -> Path:
    """It is there from when the training waits."""
    return file.with_suffix(".reached")


log = RunFolder.log


def log_and_wait(run: RunFolder, line: Mapping[str, float]) -> None:
    log(run, line)
    file = Path(os.environ[FILE])
    if run.checkpoint.exists() and file.exists():
        reached_by(file).touch()
        while file.exists():
            time.sleep(0.02)


if __name__ == "__main__":
    RunFolder.log = log_and_wait  # type: ignore[method-assign]
    main()
