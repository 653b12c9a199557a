"""A training within its time: the rest of its schedule is stretched or shortened as it trains."""

import math
import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from kaggle_hw4.recipe import ScheduleConfig
from kaggle_hw4.training.checkpoint import TrainingState
from kaggle_hw4.training.measure import Cost

CHECKS = 40  # of the plan in a training, at least,
EVERY = 25  # and after so many steps at most;
LAST = 0.9  # from this share of the steps on
OFTEN = 5  # times as often,
STRICT = 4  # and so many times as strictly
TOLERANCE = 0.02  # of all steps, by which the plan may be off before it is changed
RECENT = 12  # spells between checks, whose median is the time of a step, whatever happened once


class Limit(Protocol):
    """The time that a run may take. `cost` is what it was planned with."""

    @property
    def cost(self) -> Cost: ...

    def left(self, trained: float) -> float:
        """Seconds until the predictions of a run must be written that has trained so many."""


class Pacer:
    """Ends a training, its predictions included, when its time is over; None: after its steps."""

    def __init__(
        self, limit: Limit | None, state: TrainingState[Any], schedule: ScheduleConfig
    ) -> None:
        self.limit, self.state, self.schedule = limit, state, schedule
        self.recent: deque[float] = deque(maxlen=RECENT)  # seconds of a step
        self.inference = 1.0  # how much longer validations took than steps, to what was measured
        self.warm = False  # the first steps prepare kernels and graphs: they are not counted
        self.marked, self.mark = state.step, time.monotonic()

    @property
    def steps(self) -> int:
        """Steps of the whole training, as planned now."""
        return self.state.timeline.steps(self.schedule.steps)

    def is_due(self) -> bool:
        """Whether the plan is to be checked after this step."""
        if self.limit is None or self.state.step >= self.steps:
            return False
        every = max(1, min(EVERY, self.steps // CHECKS) // (OFTEN if self._in_last_part else 1))
        return self.state.step % every == 0

    def replan(self) -> None:
        """Let the training end at the step that the time left says, where that is another."""
        float(self.state.since_report.sum())  # waits for the device
        now, step = time.monotonic(), self.state.step
        if self.warm:
            self.recent.append((now - self.mark) / max(1, step - self.marked))
        self.warm, self.mark, self.marked = True, now, step
        if self.limit is None or not self.recent:
            return
        end = step + max(1, self._steps_left(self.limit))
        tolerance = TOLERANCE / (STRICT if self._in_last_part else 1)
        if abs(end - self.steps) > tolerance * self.steps:
            self.state.timeline = self.state.timeline.ending(step, end, self.schedule.steps)

    def between_checkpoints(self, usual: float) -> float:
        """Seconds: of a short time, a kill is to cost a tenth at most."""
        left = self.limit.left(self.state.seconds) if self.limit else math.inf
        return min(usual, left / 10)

    def is_validation_due(self) -> bool:
        """Whether to validate after this step: as often as the schedule says, and at the end."""
        step, every, place = (
            self.state.step,
            self.schedule.validate_every,
            self.state.timeline.place,
        )
        return step == self.steps or place(step) // every > place(step - 1) // every

    @contextmanager
    def validating(self) -> Iterator[None]:
        """What is in the block is the time of no step."""
        begin = time.monotonic()
        yield
        seconds = time.monotonic() - begin
        self.mark += seconds
        if self.limit and self.recent and self.limit.cost.validation:
            slower = statistics.median(self.recent) / self.limit.cost.step
            self.inference = seconds / self.limit.cost.validation / slower

    @property
    def _in_last_part(self) -> bool:
        return self.state.step > LAST * self.steps

    def _steps_left(self, limit: Limit) -> int:
        """The steps that fit into the time left, with their validations and the predictions."""
        step, cost = statistics.median(self.recent), limit.cost
        ahead = math.ceil((self.schedule.steps - self.state.place) / self.schedule.validate_every)
        # What steps are slower by than when they were measured, predictions are, too.
        slower = self.inference * step / cost.step
        inference = slower * (ahead * cost.validation + cost.prediction)
        return int((limit.left(self.state.seconds) - inference) / step)
