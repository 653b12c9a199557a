"""Stopping in good order: a signal is noted, the step is finished, the checkpoint written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kaggle_hw4.errors import Hw4Error, Interrupted, Stopped

GO_ON = "the same command goes on from here"


class Stop:
    """The signal that asked for a stop, if one has."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def error(self, name: str, step: int) -> Hw4Error:
        kind = Interrupted if self.signal == signal.SIGINT else Stopped
        return kind(f"{name}: stopped after step {step}, checkpoint written", GO_ON)


@contextmanager
def listen() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM within the block; a second one of them acts as it always does."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, before[number])

    signals = (int(signal.SIGINT), int(signal.SIGTERM))
    before = {number: signal.getsignal(number) for number in signals}
    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
