"""A study in a journal file on one machine."""

import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from kaggle_hw4.errors import DataError

JOURNAL = "journal.log"


class Journal:
    """An Optuna journal of one coordinator; `optuna-dashboard` opens the same file."""

    def __init__(self, path: Path) -> None:
        self.name, self.backend = str(path), JournalStorage(_backend(path))
        self.folder, self.stale_requeued = path.parent.name, False

    def study_name(self, name: str) -> str:
        """That of the only study in the file where `name` is its folder's, which was renamed."""
        studies = optuna.get_all_study_names(self.backend)
        renamed = name == self.folder and len(studies) == 1
        return studies[0] if renamed else name

    def lock(self) -> AbstractContextManager[object]:
        return nullcontext()  # open_storage holds the file's own lock

    def finals_lock(self) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def heartbeat(self, trials: Iterable[int]) -> None:
        """No other coordinator reads this file."""

    def requeue_stale(self, study: optuna.Study) -> None:
        if not self.stale_requeued:
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self.backend.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self.stale_requeued = True

    def redraw(self, trial: optuna.Trial) -> None:
        trial._cached_frozen_trial.params.clear()
        trial._cached_frozen_trial.distributions.clear()


def _backend(path: Path) -> JournalFileBackend:
    """Locked by a file: Optuna's default is a symbolic link, which not every disk has."""
    return JournalFileBackend(str(path), JournalFileOpenLock(str(path)))


def repair(path: Path) -> None:
    """Cut off what a killed writer left in a journal: an incomplete last line, and its lock.

    Raises DataError where a line before the end is damaged: that was not a kill.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    # Leave out incomplete lines at the end.
    kept = len(lines)
    while kept and not _is_complete(lines[kept - 1]):
        kept -= 1
    # Refuse any other.
    for number, line in enumerate(lines[:kept], 1):
        if not _is_complete(line):
            raise DataError(f"{path}: line {number} is damaged", "name a new study")
    if kept < len(lines):
        os.truncate(path, sum(map(len, lines[:kept])))


def _is_complete(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
