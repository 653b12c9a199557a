"""The worker that trains a run as a fork, in the place of a subprocess, with the same lifeline."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from tests.torture.forks import LIMIT, leave


class Worker:
    """The fork that trains a run, in the place of a subprocess.Popen of the worker."""

    def __init__(self, command: Sequence[str], *, stdout: Any, env: dict[str, str], **_: Any):
        from kaggle_hw4.execution import worker
        from kaggle_hw4.execution.spec import RunSpec

        reading, writing = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for number, descriptor in enumerate((reading, stdout.fileno(), stdout.fileno())):
                os.dup2(descriptor, number)
            os.closerange(3, 256)  # the lifelines of other workers, the locks of the coordinator
            os.environ |= env
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            leave(worker.main, RunSpec.from_json(command[-1]))
        os.close(reading)
        self.stdin = os.fdopen(writing, "wb", buffering=0)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or LIMIT)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or LIMIT)
            time.sleep(0.005)
        return self.returncode or 0


class Subprocess:
    """What `execution.local` takes from the module subprocess."""

    Popen, PIPE, TimeoutExpired = Worker, subprocess.PIPE, subprocess.TimeoutExpired
