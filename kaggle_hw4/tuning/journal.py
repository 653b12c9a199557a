"""A study in a journal file on one machine."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from kaggle_hw4.artifact import read_file, sha256_json
from kaggle_hw4.errors import DataError

JOURNAL = "journal.log"
SEAL = "seal"  # a field that Optuna ignores: the hash of the others
REMEDY = "name a new study"

Log = dict[str, Any]  # an operation of Optuna's


class Journal:
    """An Optuna journal of one coordinator; `optuna-dashboard` opens the same file.

    Raises DataError where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.folder, self.stale_requeued = path.parent.name, False
        try:
            self.backend = JournalStorage(SealedFile(self.name, Lock(self.name)))
        except (DataError, OSError):
            raise
        except Exception as error:  # Optuna checks nothing of what it reads
            raise DataError(f"{path} is damaged ({type(error).__name__})", REMEDY) from error

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


class SealedFile(JournalFileBackend):
    """Optuna's file with a seal on every line that hw4 writes: a changed line is an error."""

    def append_logs(self, logs: list[Log]) -> None:
        super().append_logs([{**log, SEAL: seal_of(log)} for log in logs])

    def read_logs(self, log_number_from: int) -> Iterator[Log]:  # type: ignore[override]
        """The operations from that number on. One without a seal is the dashboard's."""
        number = log_number_from + 1
        try:
            for log in super().read_logs(log_number_from):
                if log.get(SEAL, seal := seal_of(log)) != seal:
                    raise ValueError("its seal is another")
                yield log
                number += 1
        except (ValueError, AttributeError, RecursionError) as error:
            raise damaged(Path(self._file_path), number) from error


class Lock(JournalFileOpenLock):
    """A file beside the journal: Optuna's default is a symbolic link, which not every disk has."""

    def release(self) -> None:
        """Remove the file. Optuna's own answers an error of the disk with a RuntimeError."""
        with suppress(FileNotFoundError):
            Path(self._lock_file).unlink()


def seal_of(log: Log) -> str:
    """The hash of an operation without its seal, as it is read from the file."""
    values = json.loads(json.dumps(log))
    return sha256_json({key: value for key, value in values.items() if key != SEAL})[:16]


def damaged(path: Path, number: int) -> DataError:
    return DataError(f"{path}: line {number} is damaged", REMEDY)


def repair(path: Path) -> None:
    """Cut off what a killed writer left in a journal: an incomplete last line, and its lock.

    Raises DataError where a line before the end is damaged: that was not a kill.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    lines = read_file(path).splitlines(keepends=True) if path.exists() else []
    # Leave out incomplete lines at the end.
    kept = len(lines)
    while kept and not _is_complete(lines[kept - 1]):
        kept -= 1
    # Refuse any other.
    for number, line in enumerate(lines[:kept], 1):
        if not _is_complete(line):
            raise damaged(path, number)
    if kept < len(lines):
        os.truncate(path, sum(map(len, lines[:kept])))


def _is_complete(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
