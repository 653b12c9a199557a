"""Commands that real processes run at the same moment."""

import contextlib
import io
import traceback
from collections.abc import Sequence
from multiprocessing import get_context
from typing import NamedTuple

from kaggle_hw4.cli import main

AT_ONCE = 8


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def race(*commands: Sequence[object]) -> list[Ended]:
    """How each command ended; every process is ready before the first one starts."""
    context = get_context("fork")
    barrier, ended = context.Barrier(len(commands)), context.SimpleQueue()

    def run(number: int, command: Sequence[object]) -> None:
        out, err, code = io.StringIO(), io.StringIO(), 0
        barrier.wait()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(word) for word in command])
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:  # or the parent would wait for ever
                code = 1
                traceback.print_exc()
        ended.put((number, Ended(code, out.getvalue(), err.getvalue())))

    processes = [context.Process(target=run, args=each) for each in enumerate(commands)]
    for process in processes:
        process.start()
    results = dict(ended.get() for _ in processes)
    for process in processes:
        process.join()
    return [results[number] for number in range(len(processes))]
