"""How fast something is, how long it takes, and how often and whether that is said."""

import re
import sys
import time
from collections import deque
from contextlib import suppress
from enum import Enum

from kaggle_hw4.errors import UsageError

DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)


class Verbosity(Enum):
    """How much is said of progress; the value is the seconds between two plain lines."""

    QUIET = float("inf")
    NORMAL = 30.0
    VERBOSE = 5.0


_verbosity = Verbosity.NORMAL


def set_verbosity(verbosity: Verbosity) -> None:
    """Say less or more from now on, in this process."""
    global _verbosity
    _verbosity = verbosity


def is_quiet() -> bool:
    return _verbosity is Verbosity.QUIET


def is_verbose() -> bool:
    return _verbosity is Verbosity.VERBOSE


class Speed:
    """How much is done in a second, over about the last half minute."""

    def __init__(self, done: int = 0) -> None:
        self.samples = deque([(time.monotonic(), done)], maxlen=150)

    def add(self, done: int) -> None:
        now = time.monotonic()
        if len(self.samples) < 2 or now - self.samples[-2][0] > 0.2:
            self.samples.append((now, done))
        else:
            self.samples[-1] = (now, done)

    @property
    def per_second(self) -> float:
        (start, before), (now, done) = self.samples[0], self.samples[-1]
        return (done - before) / (now - start) if now > start else 0.0

    def left(self, total: int) -> str:
        """The time left until `total`, in words; "" while it is unknown."""
        seconds = self.seconds_left(total)
        return "" if seconds is None else f"{in_words(seconds)} left"

    def seconds_left(self, total: int) -> float | None:
        """The same in seconds; None while it is unknown."""
        rate = self.per_second
        return (total - self.samples[-1][1]) / rate if rate > 0 else None


def rate_of(per_second: float, unit: str) -> str:
    """A rate with its unit: 2.1 steps/s, or 1.4 s/step where that is above one; "" if unknown."""
    if per_second <= 0:
        return ""
    return f"{per_second:.1f} {unit}s/s" if per_second >= 1 else f"{1 / per_second:.1f} s/{unit}"


def in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def read_duration(text: str, parameter: str) -> float:
    """The seconds of 90s, 90m, 11h or 1h30m; UsageError for anything else."""
    match = DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600.0 * hours + 60 * minutes + seconds
    if not total:
        raise UsageError(f"{text!r} is no duration", "write 90s, 90m, 11h or 1h30m", parameter)
    return total


def write_duration(seconds: float) -> str:
    """A time as `read_duration` reads it: 1h30m."""
    minutes, left = divmod(round(seconds), 60)
    parts = zip((*divmod(minutes, 60), left), "hms", strict=True)
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"


def clock_time(seconds: float = 0.0) -> str:
    """What the clock shows in so many seconds: 14:05, with the date where that is another day."""
    now = time.time()
    then, today = time.localtime(now + seconds), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%a %d %b, %H:%M", then)


class Pace:
    """Writes lines, and says when the next one is due."""

    def __init__(self) -> None:
        self.latest = time.monotonic()
        self.lines = 0
        self.reported = False  # whether the first figures have been shown

    def is_due(self) -> bool:
        return time.monotonic() - self.latest >= _verbosity.value

    def say(self, name: str, *parts: str) -> None:
        """One line on stderr, of the parts that are not empty."""
        self.latest = time.monotonic()
        self.lines += 1
        write_line(f"{name}: {', '.join(filter(None, parts))}")


def write_line(text: str) -> None:
    """A line on stderr, unless quiet; where nothing can be written, nothing is said."""
    if not is_quiet():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
