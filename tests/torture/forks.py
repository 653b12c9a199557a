"""Commands of hw4 in forks of one process that has imported everything: 30 ms each, not 3 s.

The parent has one thread and never runs a command itself, so that a fork starts as a fresh process
does. The worker that trains a run is a fork, too (`worker`).
"""

import ctypes
import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

LIMIT = 60.0  # seconds for a command on the tiny corpus; beyond it hangs
MEMORY = 16 * 2**30  # bytes of address space: what asks for more is a fault, not a busy machine
HEAVY = (
    "torch._dynamo", "pandas", "optuna", "scipy.optimize", "sklearn.cluster",
    "sklearn.model_selection",
)  # fmt: skip
DOCUMENTED = {2, 3, 4, 5, 6}  # exit codes of errors that a user can mend
PR_SET_CHILD_SUBREAPER = 36

Prepare = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a command ended. `code` is minus the signal where one killed it."""

    code: int
    out: str
    err: str
    hung: bool = False

    @property
    def traceback(self) -> bool:
        """Whether it ended in a fault of hw4's own."""
        faulty = self.code in (1, 70) or self.code in (-signal.SIGSEGV, -signal.SIGABRT)
        return faulty or "Traceback (most recent call last)" in self.err

    @property
    def documented(self) -> bool:
        """Whether it ended in a documented error: its exit code, and the line."""
        lines = self.err.splitlines()
        return self.code in DOCUMENTED and any(line.startswith("hw4: ") for line in lines)

    @property
    def reason(self) -> str:
        """The last line of the output."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return f"exit {self.code}: {lines[-1] if lines else 'silent'}"[:300]


@dataclass(frozen=True)
class Child:
    """A command that runs; its output goes to the files in `folder`."""

    pid: int
    folder: Path

    def kill(self, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, limit: float = LIMIT) -> Ended:
        """Wait for the end; a command that takes longer than `limit` hangs, and is killed."""
        descriptor = os.pidfd_open(self.pid)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        hung = not poll.poll(1000 * limit)
        os.close(descriptor)
        if hung:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        out, err = ((self.folder / name).read_text(errors="replace") for name in ("out", "err"))
        for path in self.folder.glob("hw4-traceback-*"):
            err += path.read_text(errors="replace")
        shutil.rmtree(self.folder, ignore_errors=True)
        return Ended(code, out, err, hung)


def preload() -> None:
    """Import all that a command may need, and have orphans reaped here."""
    import torch

    import kaggle_hw4
    from kaggle_hw4.artifact import commit

    for package in HEAVY:
        importlib.import_module(package)
    for module in pkgutil.walk_packages(kaggle_hw4.__path__, "kaggle_hw4."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    torch.set_num_threads(1)
    commit()  # asks git once
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


_number = 0


def start(root: Path, arguments: Sequence[object], prepare: Prepare = lambda: None) -> Child:
    """Start `hw4` with `arguments` in the workspace `root`; `prepare` is called in its process."""
    global _number
    _number += 1
    folder = root.with_name(f"{root.name}.output{_number}")
    folder.mkdir()
    for name in ("out", "err"):
        (folder / name).touch()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _enter(root, folder)
        leave(_command, [str(word) for word in arguments], prepare)
    return Child(pid, folder)


def run(
    root: Path, *arguments: object, prepare: Prepare = lambda: None, limit: float = LIMIT
) -> Ended:
    """Run `hw4` with `arguments` to its end."""
    return start(root, arguments, prepare).wait(limit)


def end_orphans(patience: float = 10.0) -> int:
    """Wait for the workers of killed coordinators; how many had to be killed."""
    until, killed = time.monotonic() + patience, 0
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return killed
        if pid == 0:
            time.sleep(0.01)
        if pid == 0 and time.monotonic() > until:
            for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
                killed += 1


def _enter(root: Path, folder: Path) -> None:
    """What a shell does for a command: a session, streams, a folder, the environment."""
    os.setsid()
    for number, path in enumerate((os.devnull, folder / "out", folder / "err")):
        descriptor = os.open(path, os.O_RDWR)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    os.environ |= {"HW4_WORKSPACE": str(root), "TMPDIR": str(folder)}
    os.chdir(root)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)


def _command(arguments: list[str], prepare: Prepare) -> None:
    import tempfile

    from kaggle_hw4 import cli
    from kaggle_hw4.execution import executor, local
    from kaggle_hw4.tuning import coordinator
    from tests.torture.worker import Subprocess

    tempfile.tempdir = None
    executor.POLL = coordinator.POLL = 0.02
    local.subprocess = Subprocess  # type: ignore[assignment]
    sys.argv = ["hw4", *arguments]
    prepare()
    cli.main(arguments)


def leave(work: Callable[..., object], *arguments: object) -> NoReturn:
    """Call `work` and end the process with its exit code; the parent's code never returns."""
    code = 0
    try:
        result = work(*arguments)
        code = result if isinstance(result, int) else 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
        code = 70
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)
