"""Where in its schedule a training is, by step: the rest of it can be stretched or shortened."""

from bisect import bisect_right
from dataclasses import dataclass

Breakpoint = tuple[int, float, float]  # step, its place in the schedule, places a step from there


@dataclass(frozen=True)
class Timeline:
    """The place of each step in the schedule of a recipe, a piecewise linear function.

    The last of the `breakpoints` is the end of both. Without any the place of a step is the step:
    the schedule as the recipe has it.
    """

    breakpoints: tuple[Breakpoint, ...] = ()

    def place(self, step: int) -> float:
        """The step of the schedule that learning rate, margin and lengths are those of."""
        passed = bisect_right(self.breakpoints, step, key=lambda point: point[0])
        if not passed:
            return step
        bend, place, rate = self.breakpoints[passed - 1]
        return place + rate * (step - bend)

    def steps(self, planned: int) -> int:
        """The steps of the whole training, of a schedule of `planned` steps."""
        return self.breakpoints[-1][0] if self.breakpoints else planned

    def ending(self, step: int, end: int, planned: int) -> "Timeline":
        """The same up to `step`; from there a straight line to the end of the schedule at `end`."""
        passed = [point for point in self.breakpoints[:-1] if point[0] < step]
        place = self.place(step)
        bend = (step, place, (planned - place) / (end - step))
        return Timeline((*passed, bend, (end, float(planned), 0.0)))
