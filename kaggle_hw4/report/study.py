"""A study's trials: how the search went, what mattered, what was pruned."""

from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from kaggle_hw4.tuning.space import Params
from kaggle_hw4.tuning.storage import read_storage
from kaggle_hw4.tuning.study import ROLE, active_trials
from kaggle_hw4.tuning.summary import StudySummary, load_study, summarise


@dataclass(frozen=True)
class TrialRow:
    """A trial; `curve` are its validations, (step, value)."""

    number: int
    state: str  # complete, pruned, fail, running or waiting
    role: str | None
    value: float | None  # of a pruned one, its last
    seconds: float | None
    params: Params
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class StudyReport:
    summary: StudySummary
    trials: tuple[TrialRow, ...]

    @property
    def maximised(self) -> bool:
        return self.summary.direction == "maximize"


def read_study(folder: Path, url: str | None) -> StudyReport:
    """The study in `folder`, or on the server at `url`. DataError, UsageError or StorageError where
    it cannot be read.
    """
    with read_storage(folder, url) as storage:
        study = load_study(storage, folder.name)
        trials = tuple(_trial(trial) for trial in active_trials(study))
        return StudyReport(summarise(study, folder), trials)


def _trial(trial: FrozenTrial) -> TrialRow:
    curve = tuple(sorted(trial.intermediate_values.items()))
    value = trial.value if trial.value is not None else (curve[-1][1] if curve else None)
    return TrialRow(
        number=trial.number,
        state=trial.state.name.lower(),
        role=trial.user_attrs.get(ROLE),
        value=value,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        params=dict(trial.params),
        curve=curve,
    )
