"""Graceful shutdown: a signal is noted, the step is finished, the checkpoint written."""

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from kaggle_hw4.errors import Interrupted, Shutdown, Stopped

RESUME = "the same command resumes it"
SIGNALS = tuple(
    int(getattr(signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP: the terminal was closed
    if hasattr(signal, name)
)
SHOW_CURSOR = b"\x1b[?25h\n"  # a progress bar hides it
REDELIVERY = 0.01  # seconds

Handler = Callable[[int, FrameType | None], object] | int | None


class StopRequest:
    """The signal that asked for a stop, if one has. `second` is what a second Ctrl-C does."""

    def __init__(self, second: Handler) -> None:
        self.signal: int | None = None
        self.second = second

    def note(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the first signal."""
        _leave_closed_terminal()
        self.signal = number
        signal.signal(signal.SIGINT, self.second)

    def error(self, what: str) -> Shutdown:
        """The error that says what was stopped."""
        return _kind(self.signal)(what, RESUME)


@contextmanager
def graceful_shutdown() -> Iterator[StopRequest]:
    """Note SIGINT, SIGTERM and SIGHUP within the block, which is to raise the request's error.

    A second Ctrl-C acts as it would outside of the block. Where the block finishes all the same,
    the request's error is raised after it: whatever comes next was asked to stop, too. So is a
    block within one that has noted a signal already.
    """
    request = StopRequest(_second(signal.getsignal(signal.SIGINT)))
    request.signal = _noted()
    if request.signal is not None:
        yield request
        raise request.error("stopped")
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    before = {number: signal.getsignal(number) for number in SIGNALS if not _ignored(number)}
    for number in before:
        signal.signal(number, request.note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            ending = request.signal is not None or isinstance(sys.exception(), Shutdown)
            stopping = ending and handler is unwind
            signal.signal(number, end_at_once if stopping else handler)
    if request.signal is not None:
        raise request.error("stopped")


@contextmanager
def stopping_after(seconds: float | None) -> Iterator[None]:
    """Act after so many seconds of the block as if SIGTERM had come; None: never."""
    if seconds is None:
        yield
        return
    # To the main thread, which alone runs handlers: another one's signal would not wake it.
    target = threading.main_thread().ident
    timer = threading.Timer(seconds, signal.pthread_kill, (target, signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def unwind_on_signals() -> None:
    """Have the first signal raise a Shutdown, so that temporary files are removed."""
    for number in SIGNALS:
        if not _ignored(number):
            signal.signal(number, unwind)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _raise_again


def unwind(number: int, _frame: FrameType | None) -> None:
    """Raise a Shutdown; a second Ctrl-C ends the process at once."""
    _leave_closed_terminal()
    for each in SIGNALS:
        if not _ignored(each):
            signal.signal(each, end_at_once)
    raise _kind(number)("stopped", "run the same command again")


def end_at_once(number: int, _frame: FrameType | None) -> None:
    """The handler of a second signal. SIGTERM and SIGHUP often come together: only Ctrl-C ends."""
    if number == signal.SIGINT:
        with suppress(OSError):
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
        os._exit(Interrupted.exit_code)


def _leave_closed_terminal() -> None:
    """Output to a terminal that was closed goes nowhere from now on, instead of raising OSError."""
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


def _kind(number: int | None) -> type[Shutdown]:
    return Interrupted if number == signal.SIGINT else Stopped


def _noted() -> int | None:
    """The signal that a block around this one has noted."""
    handlers = (signal.getsignal(number) for number in SIGNALS)
    outer = (getattr(handler, "__self__", None) for handler in handlers)
    numbers = (request.signal for request in outer if isinstance(request, StopRequest))
    return next((number for number in numbers if number is not None), None)


def _second(handler: Handler) -> Handler:
    """What a second Ctrl-C does, where `handler` is in place for the first one."""
    outer = getattr(handler, "__self__", None)
    if isinstance(outer, StopRequest):
        return outer.second
    return end_at_once if handler is unwind else handler


def _ignored(number: int) -> bool:
    """Whether the process was started so as to survive the terminal (nohup)."""
    return number != signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python drops an exception that is raised in a finalizer: deliver the signal once more."""
    if not isinstance(unraisable.exc_value, Shutdown):
        sys.__unraisablehook__(unraisable)
        return
    interrupted = isinstance(unraisable.exc_value, Interrupted)
    number = signal.SIGINT if interrupted else signal.SIGTERM
    signal.signal(number, unwind)
    threading.Timer(REDELIVERY, os.kill, (os.getpid(), number)).start()
