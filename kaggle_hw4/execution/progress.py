"""How far a run is that another process trains: read from its folder."""

import json
from dataclasses import dataclass

from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.runs import Run


@dataclass
class RunProgress:
    """What `run` has logged so far; `read` takes in what is new."""

    run: Run
    step: int = 0
    steps: int = 0  # of the whole schedule; 0: not known yet
    seconds: float = 0.0  # trained
    validation: float | None = None  # accuracy, the last one
    place: int = 0  # bytes of the log that are read

    def read(self) -> None:
        """Take in the new lines of the run's log; those of a killed training are taken back."""
        if not self.steps:
            self._read_recipe()
        try:
            size = self.run.metrics.stat().st_size
        except OSError:
            return
        if size < self.place:  # cut at the last checkpoint
            self.place = self.step = 0
        with self.run.metrics.open("rb") as file:
            file.seek(self.place)
            whole, newline, _torn = file.read().rpartition(b"\n")
        self.place += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(line)

    def seconds_left(self) -> float | None:
        """At its speed so far; None while that is unknown."""
        if not (self.step and self.steps and self.seconds):
            return None
        return max(0, self.steps - self.step) * self.seconds / self.step

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            self.step, self.seconds = int(values["step"]), float(values["seconds"])
        except (ValueError, KeyError, TypeError):
            return
        self.steps = values.get("steps", self.steps)
        self.validation = values.get("validation_accuracy", self.validation)

    def _read_recipe(self) -> None:
        try:
            self.steps = self.run.recipe().schedule.steps
        except Hw4Error:  # not written yet
            return
