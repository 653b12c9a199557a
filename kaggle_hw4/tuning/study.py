"""A study: what it was made of, which trials it wants, who is asked next, who is pruned."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from kaggle_hw4.errors import DataError
from kaggle_hw4.execution.executor import RETRIES
from kaggle_hw4.recipe import ScheduleConfig
from kaggle_hw4.tuning.objective import Objective
from kaggle_hw4.tuning.storage import Storage, retry

IDENTITY = "made_of"
FINALS = "finals"
FAILURE = "failure"  # why a trial failed
FINAL = "final"  # a failure of the trial's own: asking it again would end the same way
ROLE = "role"  # of a trial that was enqueued
DEFAULT, EARLIER = "default", "earlier best"
STARTUP = 20  # random trials; pruned, they cost ten. After ten, TPE can stay with a bad category
REDUCTION = 3  # Hyperband keeps every third trial
RUNGS = 3  # a training is judged after 1/9 and 1/3 of its steps


def history(trial: FrozenTrial) -> list[int]:
    """The trials that failed before the same was asked again as this one; Optuna's own note."""
    return list(trial.system_attrs.get("retry_history", []))


def make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """TPE (Bergstra et al. 2011) whose draws are a function of the seed and the trial's number.

    So a study that goes on after a kill does not draw its first points again.
    """
    state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(
        multivariate=True, group=True, n_startup_trials=STARTUP, seed=state
    )


def least_steps(schedule: ScheduleConfig) -> int:
    """Before which no trial is pruned."""
    ninth: int = schedule.steps // REDUCTION ** (RUNGS - 1)
    return max(1, ninth, min(schedule.validate_every, schedule.steps))


def make_pruner(schedule: ScheduleConfig) -> optuna.pruners.BasePruner:
    """Hyperband (Li et al. 2018) over training steps."""
    least = least_steps(schedule)
    return optuna.pruners.HyperbandPruner(
        min_resource=least, max_resource=schedule.steps, reduction_factor=REDUCTION
    )


def open_study(
    storage: Storage, name: str, made_of: Mapping[str, Any], objective: Objective
) -> optuna.Study:
    """The study of that name, or a new one; DataError when it was made of something else."""
    # Pruners see the study through `prune` alone: through Study.pruner Hyperband would also hide
    # from the sampler all trials of other brackets.
    study = optuna.create_study(
        storage=storage.backend,
        study_name=name,
        direction=objective.direction,
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    there = study.user_attrs.get(IDENTITY)
    if there is None:
        study.set_user_attr(IDENTITY, dict(made_of))
    elif differing := list(differences(there, made_of)):
        raise DataError(
            f"the study {name} was made of something else: {'; '.join(differing)}",
            "give this one another name with --study",
        )
    return study


def differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    """Every leaf in which two plain values differ, as `path is a there and b here`."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in [*there, *(k for k in here if k not in there)]:
            below = f"{path}.{key}" if path else str(key)
            yield from differences(there.get(key), here.get(key), below)
    elif there != here:
        yield f"{path} is {_short(there)} there and {_short(here)} here"


def _short(value: Any) -> str:
    return "nothing" if value is None else "something" if isinstance(value, Mapping) else str(value)


def enqueue(study: optuna.Study, role: str, point: Mapping[str, Any]) -> None:
    """Have `point` asked before anything is drawn, once."""
    study.enqueue_trial(dict(point), user_attrs={ROLE: role}, skip_if_exists=True)


@dataclass(frozen=True)
class Tally:
    """Trials by what became of them; those that were asked again in another one are left out."""

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
    retried: int

    @property
    def told(self) -> int:
        return self.complete + self.pruned + self.failed


def living(study: optuna.Study) -> list[FrozenTrial]:
    """The trials, without those that failed and were asked again in another one."""
    trials = study.get_trials(deepcopy=False)
    again = {number for trial in trials for number in history(trial)}
    return [trial for trial in trials if trial.number not in again]


def count(study: optuna.Study) -> Tally:
    trials = living(study)
    states = [trial.state for trial in trials]
    return Tally(
        states.count(TrialState.COMPLETE),
        states.count(TrialState.PRUNED),
        states.count(TrialState.FAIL),
        states.count(TrialState.RUNNING),
        states.count(TrialState.WAITING),
        len(study.get_trials(deepcopy=False)) - len(trials),
    )


def ask(study: optuna.Study, total: int, seed: int) -> optuna.Trial | None:
    """The next trial, unless enough are told or running; held under the storage's turn."""
    tally = count(study)
    if tally.told + tally.running >= total:
        return None
    study.sampler = make_sampler(seed, len(study.get_trials(deepcopy=False)))
    return study.ask()


def ask_again(study: optuna.Study) -> None:
    """Ask the trials of the dead again, also those whose coordinator died before it could."""
    for trial in living(study):
        if trial.state != TrialState.FAIL:
            continue
        if not trial.user_attrs.get(FINAL) and len(history(trial)) < RETRIES:
            retry(study, deepcopy(trial))  # it appends to the trial's own list
        elif trial.user_attrs.get(ROLE) == DEFAULT:
            why = trial.user_attrs.get(FAILURE, "its process died")
            raise DataError(f"the variant itself does not train: {why}", "see `hw4 train`")


def prune(study: optuna.Study, pruner: optuna.pruners.BasePruner, number: int) -> bool:
    """Whether trial `number` should stop here. The variant's own values always run to the end:
    they are what all others are measured against.
    """
    trial = study.get_trials(deepcopy=False)[number]
    return trial.user_attrs.get(ROLE) != DEFAULT and pruner.prune(study, trial)


def best_trials(study: optuna.Study, objective: Objective, most: int) -> list[FrozenTrial]:
    """The best complete trials, of different parameters, best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    chosen: list[FrozenTrial] = []
    for trial in sorted(complete, key=lambda t: -objective.sign * float(t.value or 0.0)):
        if len(chosen) < most and trial.params not in [other.params for other in chosen]:
            chosen.append(trial)
    return chosen
