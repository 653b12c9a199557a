"""The time that a command may take: what was chosen for it, and how much of it is used.

`time_limits/<variants>-<hash>.json` in the workspace, whose hash covers what was asked for: the
same command finds its choice again. Reader and writer. The time used is the time that the command
was running, however often it was killed and resumed; what passed between does not count.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kaggle_hw4.artifact import read_model, sha256_json, write_json
from kaggle_hw4.run_manifest import Record
from kaggle_hw4.runs import Run
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.workspace import Workspace

RESERVE = 0.01  # share of the time for what is not foreseen
START = END = 0.3  # seconds that a process takes before and after what it can measure
HEARTBEAT = 0.5  # seconds between two notes of the time used: what a kill may leave uncounted


class Part(Record):
    """What was asked for of one variant, `recipe` being the hash of its recipe; the `settings` that
    were chosen for it, and what a run costs with them.
    """

    variant: str
    recipe: str
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()
    cost: Cost = Cost(0.0, 0.0, 0.0, 0)


class TimeLimit(Record):
    """`seconds` for all parts on a corpus and a fold table (hashes); `used` of them so far, and
    `after` to be kept for what follows the training.
    """

    format: Literal[1] = 1
    seconds: float
    corpus: str
    folds: str
    parts: tuple[Part, ...]
    after: float = 0.0
    used: float = 0.0
    made_by: dict[str, str]

    @property
    def available(self) -> float:
        """Seconds for the training and its predictions."""
        return self.seconds * (1 - RESERVE) - END - self.after

    def path(self, workspace: Workspace) -> Path:
        """Where it is kept: a function of what was asked for, and not of what was chosen."""
        asked = {"seconds", "corpus", "folds"}
        parts = [part.model_dump(exclude={"settings", "cost"}) for part in self.parts]
        digest = sha256_json([self.model_dump(include=asked), parts])[:8]
        names = "+".join(dict.fromkeys(part.variant for part in self.parts))
        return workspace.root / "time_limits" / f"{names}-{digest}.json"


def read_time_limit(path: Path) -> TimeLimit:
    """DataError where it is damaged or of another version."""
    return read_model(TimeLimit, path, "a time limit", "delete it to have its steps chosen anew")


def write_time_limit(path: Path, limit: TimeLimit) -> None:
    write_json(path, limit.model_dump(mode="json"))


class Deadline(Record):
    """When a run must be finished that a process of its own trains: by time.monotonic, which all
    processes of a machine share. `cost` is what it was planned with.
    """

    at: float
    cost: Cost

    def left(self, trained: float) -> float:  # noqa: ARG002
        """Seconds until then, however long it has trained."""
        return self.at - time.monotonic()


class Budget:
    """The time of a command that is running since `began`, shared among the runs it trains."""

    def __init__(
        self, path: Path, limit: TimeLimit, runs: Sequence[tuple[Run, Cost]], began: float
    ) -> None:
        self.path, self.limit, self.began = path, limit, began
        self.costs = dict(runs)

    @property
    def used(self) -> float:
        """Seconds, all the time that the command was running."""
        return self.limit.used + START + time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds until the last of the runs must be finished."""
        return self.limit.available - self.used

    def of(self, run: Run) -> "Share":
        return Share(self, self.costs[run])

    def deadline(self, run: Run, busy: Mapping[Run, float], jobs: int) -> Deadline:
        """That of a run which begins now, where so many `jobs` are trained at a time: it has as
        long as each that is to begin after it. `busy` are the deadlines of the runs under way.
        """
        now, left = time.monotonic(), self.left
        free = [left - (at - now) for at in busy.values()] + [left] * (jobs - len(busy))
        waiting = sum(not each.done and each not in busy for each in self.costs)
        return Deadline(at=now + equal_time(free, waiting) - END, cost=self.costs[run])

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Note the time used every few seconds of the block, and at its end."""
        ended = threading.Event()

        def note() -> None:
            while not ended.wait(HEARTBEAT):
                self.save()

        thread = threading.Thread(target=note, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.save()

    def save(self) -> None:
        with suppress(OSError):  # a full disk stops the training, and not its clock
            write_time_limit(self.path, self.limit.model_copy(update={"used": self.used}))


def equal_time(free: Sequence[float], runs: int) -> float:
    """The longest time that each of `runs` can have, where each of some places, in which they
    follow one another, is free for so many seconds. 0 where there is none.
    """
    times = {seconds / count for seconds in free for count in range(1, runs + 1) if seconds > 0}
    return max((time for time in times if _places(free, time) >= runs), default=0.0)


def _places(free: Sequence[float], seconds: float) -> int:
    """How many runs of so many seconds there is a place for."""
    return sum(int(each / seconds + 1e-9) for each in free if each > 0)


@dataclass(frozen=True)
class Share:
    """The part of a budget that one of its runs may take: as much as each that is not finished."""

    budget: Budget
    cost: Cost

    def left(self, trained: float) -> float:
        """Seconds until a run that has trained for so many must be finished, predictions and all.

        What it has trained counts as its own: the runs after it get as much.
        """
        waiting = max(1, sum(not run.done for run in self.budget.costs))
        return (self.budget.left + trained) / waiting - trained
