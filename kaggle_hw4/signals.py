"""Graceful shutdown: a signal is noted, the step is finished, the checkpoint written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kaggle_hw4.errors import Hw4Error, Interrupted, Stopped

RESUME = "the same command resumes it"


class StopRequest:
    """The signal that asked for a stop, if one has."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def error(self, what: str) -> Hw4Error:
        """The error that says what was stopped."""
        kind = Interrupted if self.signal == signal.SIGINT else Stopped
        return kind(what, RESUME)


@contextmanager
def graceful_shutdown() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM within the block; a second one of them acts as it always does."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: FrameType | None) -> None:
        request.signal = number
        signal.signal(number, before[number])

    signals = (int(signal.SIGINT), int(signal.SIGTERM))
    before = {number: signal.getsignal(number) for number in signals}
    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
