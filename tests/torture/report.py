"""What was tried and what was lost, as a table; and how each failure is seen again."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.torture.forks import Ended

LOST, WRONG, TRACEBACK, HANG = "lost", "silently wrong", "traceback", "hang"
OUTCOMES = (LOST, WRONG, TRACEBACK, HANG)


@dataclass
class Tally:
    """The attempts of one kind, and those of them that failed."""

    kind: str
    seed: int
    until: float  # of time.monotonic()
    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    hurried: bool = False

    def fail(self, outcome: str, number: int, what: str) -> None:
        """Count a failure, and print it with the line that repeats it."""
        self.counts[outcome] += 1
        again = f"python -m tests.torture {self.kind} --seed {self.seed} --only {number}"
        self.lines.append(f"{outcome}: {self.kind} {number}: {what}\n    {again}")
        print(self.lines[-1], flush=True)

    def end(self, enough: float) -> None:
        """Note how long it took, and whether the time was over before there was `enough`."""
        self.seconds = time.monotonic() - self.begun
        self.hurried = self.tried < enough

    def faulty(self, ended: Ended, number: int, what: str) -> bool:
        """Count a command that hung or ended in a traceback; whether it did."""
        if ended.hung:
            self.fail(HANG, number, what)
        elif ended.traceback:
            self.fail(TRACEBACK, number, f"{what}: {ended.reason}")
        return ended.hung or ended.traceback

    @property
    def summary(self) -> str:
        """One line, as soon as the kind is finished."""
        over = " (its time was over)" if self.hurried else ""
        return f"{self.kind}: {self.tried:,} tried{over}, {self.counts.total():,} failures"

    @property
    def row(self) -> tuple[str, ...]:
        seconds = f"{self.seconds:.0f} s"
        failures = (f"{self.counts[outcome]:,}" for outcome in OUTCOMES)
        return (self.kind, f"{self.tried:,}", *failures, seconds)


def table(rows: list[tuple[str, ...]]) -> str:
    """The rows below their head, figures to the right."""
    head = ("", "tried", *OUTCOMES, "took")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0])] + [x.rjust(w) for x, w in zip(row[1:], widths[1:])])  # noqa: B905
        for row in (head, *rows)
    ]
    return "\n".join(lines)
