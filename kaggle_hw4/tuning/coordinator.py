"""The coordinator of a study: asks for trials, has them trained, prunes them, tells the results."""

import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from kaggle_hw4.artifact import write_text
from kaggle_hw4.errors import (
    DataError,
    Hw4Error,
    RecipeError,
    Shutdown,
    StorageError,
    UsageError,
)
from kaggle_hw4.execution.executor import POLL, Executor, Handle, stop_all
from kaggle_hw4.signals import RESUME, graceful_shutdown
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.retry import first_number
from kaggle_hw4.tuning.server import CONNECTION_ERRORS, reason
from kaggle_hw4.tuning.storage import Storage
from kaggle_hw4.tuning.study import (
    CRASHES,
    FAILURE,
    PERMANENT,
    ask,
    count,
    make_pruner,
    prune,
    retry_crashed,
)

PATIENCE = 600.0  # seconds to wait for a server that is unreachable
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)  # a failed trial keeps its folder
ONCE_SOLVED = "once that is solved the same command resumes the study"


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended; `value` is None unless it is complete."""

    state: TrialState
    value: float | None = None


@dataclass
class RunningTrial:
    """A trial that is being trained here. `outcome` is None until there is one to tell."""

    trial: optuna.Trial
    handle: Handle
    folder: Path  # of its recipe and its run
    curve: dict[int, float] = field(default_factory=dict)  # the objective by step
    outcome: TrialOutcome | None = None

    def kill(self) -> None:
        self.handle.stop(signal.SIGKILL)


class StudyMonitor(Protocol):
    """Shows the progress of a study."""

    def show(self, plan: Plan, study: optuna.Study, running: Sequence[RunningTrial]) -> None: ...
    def finals(self, done: int, total: int) -> None: ...
    def say(self, text: str) -> None: ...


class TimeForTrials(Protocol):
    """What is left of the time that a study may take."""

    def allows_trial(self) -> bool:
        """Whether there is time for another trial."""


class Coordinator:
    """`search` asks and tells until the plan's number of trials has finished, or its time is over.

    The first trial, which is the baseline, has the time in any case.
    """

    def __init__(
        self,
        plan: Plan,
        storage: Storage,
        study: optuna.Study,
        monitor: StudyMonitor,
        executor: Executor,
        time_left: TimeForTrials | None = None,
    ) -> None:
        self.plan, self.storage, self.study, self.monitor = plan, storage, study, monitor
        self.executor, self.time_left = executor, time_left
        self.pruner = make_pruner(plan.baseline.schedule)
        self.running: list[RunningTrial] = []
        self.ending: list[RunningTrial] = []  # outcomes are with the study, processes end
        self.unreachable_since: float | None = None  # the server
        self.storage_failed = False  # nothing more is written to it

    def search(self) -> None:
        """Raises Stopped or Interrupted on a signal, StorageError when the server stays
        unreachable, DataError when the disk is full or the baseline does not train. The same
        command resumes the trials that were running then.
        """
        with graceful_shutdown() as request:
            try:
                self.clean_up()
                while not self.poll():
                    if request.signal:
                        raise request.error(f"study {self.plan.name} stopped")
                    time.sleep(POLL)
            except (Hw4Error, Shutdown):
                self.requeue()
                raise
            finally:
                stop_all(each.handle for each in (*self.running, *self.ending))

    def clean_up(self) -> None:
        """Delete what a kill has left of the folders of trials that have ended."""
        with suppress(*CONNECTION_ERRORS):
            for trial in self.study.get_trials(deepcopy=False, states=ENDED):
                shutil.rmtree(self.trial_folder(trial), ignore_errors=True)

    def trial_folder(self, trial: FrozenTrial) -> Path:
        """Of its recipe and its run: the retry of a crashed trial resumes in the same folder."""
        return self.plan.folder / "trials" / str(first_number(trial))

    def poll(self) -> bool:
        """One tick; where the server is unreachable it is repeated later."""
        try:
            finished = self.tick()
        except CONNECTION_ERRORS as error:
            self.wait_for_server(error)
            return False
        except OSError as error:
            self.storage_failed = True
            raise DataError(
                f"{error.filename or self.storage.name}: {error.strerror or error}",
                ONCE_SOLVED,
            ) from error
        if self.unreachable_since is not None:
            self.monitor.say("the study's server is reachable again")
            self.unreachable_since = None
        return finished

    def wait_for_server(self, error: Exception) -> None:
        """Say once that the server is unreachable; StorageError when it is for too long."""
        now = time.monotonic()
        if self.unreachable_since is None:
            self.unreachable_since = now
            self.monitor.say(f"the study's server is unreachable, waiting for it ({reason(error)})")
        if now - self.unreachable_since > PATIENCE:
            self.storage_failed = True
            raise StorageError(
                f"the study's server was unreachable for {PATIENCE:.0f} s ({reason(error)})", RESUME
            ) from error

    def tick(self) -> bool:
        """Tell the trials that have ended, start new ones; True when enough have finished.

        Any call of the storage may fail when the server is unreachable: the next tick repeats it.
        """
        # Show other coordinators that the trials here are active, and tell what has ended.
        self.storage.heartbeat(running.trial._trial_id for running in self.running)
        for running in list(self.running):
            self.collect(running)
        for ending in list(self.ending):
            self.clear(ending)
        # Enqueue crashed trials again and start what fits, one coordinator at a time.
        if self.jobs < self.plan.jobs:
            with self.storage.lock():
                self.storage.requeue_stale(self.study)
                retry_crashed(self.study)
                while self.jobs < self.plan.jobs and self.launch():
                    pass
        # Show the progress.
        self.monitor.show(self.plan, self.study, self.running)
        enough = count(self.study).finished >= self.plan.trials
        return not self.jobs and (enough or self.is_time_over())

    @property
    def jobs(self) -> int:
        """Runs that have not ended."""
        return len(self.running) + len(self.ending)

    def is_time_over(self) -> bool:
        """Whether no more trials are asked for, though fewer have finished than were planned."""
        if self.time_left is None or self.time_left.allows_trial():
            return False
        return bool(self.running) or count(self.study).finished > 0

    def launch(self) -> bool:
        """Ask for a trial and start its run; False when no more is needed."""
        over = self.is_time_over()
        trial = None if over else ask(self.study, self.plan.trials, self.plan.seeds[0])
        if trial is None:
            return False
        self.storage.heartbeat([trial._trial_id])
        if not self.plan.space.complete(trial.params):
            self.storage.redraw(trial)
        try:
            recipe = self.plan.space.suggest(trial, self.plan.baseline)
        except RecipeError as error:
            self.note_failure(trial, str(error), permanent=True)
            self.study.tell(trial, state=TrialState.FAIL)
            return True
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        folder = self.trial_folder(frozen)
        path = folder / f"{self.plan.variant}.toml"
        write_text(path, recipe.to_toml())
        spec = self.plan.spec(path, self.plan.fold, self.plan.seeds[0], folder / "runs")
        curve = dict(frozen.intermediate_values)
        self.running.append(RunningTrial(trial, self.executor.submit(spec), folder, curve))
        if curve:  # reported by a coordinator that was killed before it could prune
            self.prune(self.running[-1], max(curve))
        return True

    def collect(self, running: RunningTrial) -> None:
        """Report what a run has logged; tell its trial when it has ended or should be pruned."""
        try:
            ended = running.handle.poll()  # before its last lines are read
            if running.outcome is None:
                self.report(running)
            if running.outcome is None and ended:
                running.outcome = self.outcome(running)
            if running.outcome is None:
                return
            state, value = running.outcome.state, running.outcome.value
            self.study.tell(running.trial, value, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            # Finished before the server became unreachable, or failed by another coordinator.
            running.kill()
        self.running.remove(running)
        self.ending.append(running)

    def clear(self, ending: RunningTrial) -> None:
        """Delete the folder of a trial whose process has ended; on a cluster that takes a while."""
        if not ending.handle.poll():
            return
        ending.handle.collect()
        self.ending.remove(ending)
        # A failed trial keeps its folder: its retry resumes from there, or a person looks into it.
        if ending.outcome and ending.outcome.state != TrialState.FAIL:
            shutil.rmtree(ending.folder, ignore_errors=True)

    def report(self, running: RunningTrial) -> None:
        """Report every new validation to Optuna; kill the run where its trial should be pruned."""
        for line in running.handle.run.logged():
            value, step = self.plan.objective.of_report(line), int(line["step"])
            if value is None or step in running.curve:
                continue
            running.trial.report(value, step)
            running.curve[step] = value
            if self.prune(running, step):
                return

    def prune(self, running: RunningTrial, step: int) -> bool:
        """Kill the run where its trial should be pruned after `step`; whether it was."""
        unfinished = step < self.plan.baseline.schedule.steps
        if unfinished and prune(self.study, self.pruner, running.trial.number):
            running.kill()
            running.outcome = TrialOutcome(TrialState.PRUNED)
        return running.outcome is not None

    def outcome(self, running: RunningTrial) -> TrialOutcome:
        """The outcome of a trial whose run has ended: complete, or failed by itself.

        Raises DataError for a failure that all other trials would share.
        """
        run = running.handle.collect()
        if run.manifest:
            return TrialOutcome(TrialState.COMPLETE, self.plan.objective.of_run(run.manifest))
        if run.code in (UsageError.exit_code, DataError.exit_code):
            raise DataError(f"trial {running.trial.number}: {run.reason}", ONCE_SOLVED)
        permanent = run.code == RecipeError.exit_code
        self.note_failure(running.trial, run.reason, permanent=permanent)
        return TrialOutcome(TrialState.FAIL)

    def note_failure(self, trial: optuna.Trial, why: str, *, permanent: bool) -> None:
        trial.set_user_attr(CRASHES, trial.user_attrs.get(CRASHES, 0) + 1)
        trial.set_user_attr(FAILURE, why)
        trial.set_user_attr(PERMANENT, permanent)

    def requeue(self) -> None:
        """Stop the runs with a checkpoint and let their trials wait: a stop is not a failure."""
        stop_all(running.handle for running in self.running)
        if self.storage_failed:
            return
        with suppress(*CONNECTION_ERRORS, UpdateFinishedTrialError), self.storage.lock():
            for running in self.running:
                trial = running.trial._trial_id
                self.storage.backend.set_trial_state_values(trial, TrialState.WAITING)
