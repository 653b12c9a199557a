"""The coordinator: owns the study, asks for trials, watches their workers, prunes, tells."""

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
from optuna.trial import TrialState

from kaggle_hw4.artifact import write_text
from kaggle_hw4.errors import (
    DataError,
    Hw4Error,
    RecipeError,
    StorageError,
    UsageError,
)
from kaggle_hw4.execution.executor import POLL, Handle, stop_all
from kaggle_hw4.signals import graceful_shutdown
from kaggle_hw4.tuning import study as bookkeeping
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.storage import AWAY, Storage, reason

PATIENCE = 600.0  # seconds to wait for a server that went away


@dataclass
class Running:
    """A trial under way. `verdict` is what is to be told, once there is something to tell."""

    trial: optuna.Trial
    handle: Handle
    folder: Path  # of its recipe and its run
    curve: dict[int, float] = field(default_factory=dict)
    verdict: tuple[TrialState, float | None] | None = None


class Watcher(Protocol):
    """Who is told how a study goes."""

    def show(self, plan: Plan, study: optuna.Study, running: Sequence[Running]) -> None: ...
    def finals(self, done: int, total: int) -> None: ...
    def say(self, text: str) -> None: ...


class Coordinator:
    """`search` asks and tells until the plan's total is told."""

    def __init__(self, plan: Plan, storage: Storage, study: optuna.Study, watcher: Watcher) -> None:
        self.plan, self.storage, self.study, self.watcher = plan, storage, study, watcher
        self.pruner = bookkeeping.make_pruner(plan.base.schedule)
        self.executor = plan.executor
        self.running: list[Running] = []
        self.away_since: float | None = None
        self.broken = False  # the storage: nothing more is written to it

    def search(self) -> None:
        """Raises Stopped or Interrupted when a signal asks for it, StorageError when the server
        stays away, DataError when the disk is full or the variant itself does not train. What was
        running then goes on with the same command.
        """
        with graceful_shutdown() as request:
            try:
                while not self.attempt():
                    if request.signal:
                        raise request.error(f"study {self.plan.name} stopped")
                    time.sleep(POLL)
            except Hw4Error:
                self.put_back()
                raise
            finally:
                stop_all(one.handle for one in self.running)

    def attempt(self) -> bool:
        """One tick; a server that is away is waited for, and said to be, once."""
        try:
            done = self.tick()
        except AWAY as error:
            self.wait(reason(error))
            return False
        except OSError as error:
            self.broken = True
            raise DataError(
                f"{error.filename or self.storage.name}: {error.strerror or error}",
                "once that is mended the same command goes on; what was told is kept",
            ) from None
        if self.away_since is not None:
            self.watcher.say("the study's server is back")
            self.away_since = None
        return done

    def wait(self, why: str) -> None:
        now = time.monotonic()
        if self.away_since is None:
            self.away_since = now
            self.watcher.say(f"the study's server is away, waiting for it ({why})")
        if now - self.away_since > PATIENCE:
            self.broken = True
            raise StorageError(
                f"the study's server stayed away for {PATIENCE:.0f} s ({why})",
                "the same command goes on when it is back",
            )

    def tick(self) -> bool:
        """Tell what has ended, ask for what is missing; True when the total is told.

        Anything here may fail in the middle for want of the server: the next tick goes on.
        """
        self.storage.beat(one.trial._trial_id for one in self.running)
        for one in list(self.running):
            self.harvest(one)
        if len(self.running) < self.plan.jobs:
            with self.storage.turn():
                self.storage.bury(self.study)
                bookkeeping.ask_again(self.study)
                while len(self.running) < self.plan.jobs and self.launch():
                    pass
        self.watcher.show(self.plan, self.study, self.running)
        return not self.running and bookkeeping.count(self.study).told >= self.plan.trials

    def launch(self) -> bool:
        """Ask for a trial and start its worker; False when there is none to ask for."""
        plan = self.plan
        trial = bookkeeping.ask(self.study, plan.trials, plan.seeds[0])
        if trial is None:
            return False
        self.storage.beat([trial._trial_id])
        try:
            recipe = plan.space.suggest(trial, plan.base)
        except RecipeError as error:
            self.note_failure(trial, str(error), final=True)
            self.study.tell(trial, state=TrialState.FAIL)
            return True
        frozen = self.study.get_trials(deepcopy=False)[trial.number]
        # A trial that is asked again goes on from the checkpoint of the one that died.
        first = [*bookkeeping.history(frozen), trial.number][0]
        folder = plan.folder / "trials" / str(first)
        write_text(folder / f"{plan.variant}.toml", recipe.to_toml())
        path = folder / f"{plan.variant}.toml"
        handle = self.executor.submit(plan.spec(path, plan.fold, plan.seeds[0], folder / "runs"))
        curve = dict(frozen.intermediate_values)
        self.running.append(Running(trial, handle, folder, curve))
        return True

    def harvest(self, one: Running) -> None:
        """Pass on what a worker has reported; tell its trial when it has ended or should."""
        try:
            ended = one.handle.poll()  # looked at before its last reports
            if one.verdict is None:
                self.listen_to(one)
            if one.verdict is None and ended:
                one.verdict = self.judge(one)
            if one.verdict is None:
                return
            state, value = one.verdict
            self.study.tell(one.trial, value, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            # Told already, before the server went away, or failed by another coordinator.
            one.handle.stop(signal.SIGKILL)
        one.handle.collect()
        self.running.remove(one)
        if one.verdict and one.verdict[0] != TrialState.FAIL:  # others may go on, or be looked into
            shutil.rmtree(one.folder, ignore_errors=True)

    def listen_to(self, one: Running) -> None:
        for line in one.handle.run.logged():
            value, step = self.plan.objective.of_report(line), int(line["step"])
            if value is None or step in one.curve:
                continue
            one.trial.report(value, step)
            one.curve[step] = value
            more = step < self.plan.base.schedule.steps
            if more and bookkeeping.prune(self.study, self.pruner, one.trial.number):
                one.handle.stop(signal.SIGKILL)
                one.verdict = TrialState.PRUNED, None
                return

    def judge(self, one: Running) -> tuple[TrialState, float | None]:
        """What a worker that has ended has to say: a value, or a failure of its trial's own."""
        outcome = one.handle.collect()
        if outcome.manifest:
            return TrialState.COMPLETE, self.plan.objective.of_run(outcome.manifest)
        code, why = outcome.code, outcome.reason
        if code in (UsageError.exit_code, DataError.exit_code):  # others would fail as well
            raise DataError(f"trial {one.trial.number}: {why}", "the same command then goes on")
        self.note_failure(one.trial, why, final=code == RecipeError.exit_code)
        return TrialState.FAIL, None

    def note_failure(self, trial: optuna.Trial, why: str, *, final: bool) -> None:
        trial.set_user_attr(bookkeeping.FAILURE, why)
        trial.set_user_attr(bookkeeping.FINAL, final)

    def put_back(self) -> None:
        """Let the trials wait again, to go on from their checkpoints: to stop is no failure."""
        stop_all(one.handle for one in self.running)
        if self.broken:
            return
        with suppress(*AWAY, UpdateFinishedTrialError), self.storage.turn():
            for one in self.running:
                self.storage.backend.set_trial_state_values(one.trial._trial_id, TrialState.WAITING)
