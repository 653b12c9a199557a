"""A study in Optuna's terms: its sampler and pruner, the next trial, retries, counts, the best."""

import itertools
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.execution.executor import RETRIES
from kaggle_hw4.recipe import ScheduleConfig
from kaggle_hw4.tuning.fingerprint import KEYS, Fingerprint, attach_fingerprint
from kaggle_hw4.tuning.objective import OBJECTIVES, Objective
from kaggle_hw4.tuning.retry import first_number, retry, retry_history
from kaggle_hw4.tuning.space import Params
from kaggle_hw4.tuning.storage import Storage

# User attributes of a trial.
FAILURE = "failure"  # why it failed
PERMANENT = "permanent"  # its recipe cannot be trained: a retry would end the same way
CRASHES = "crashes"  # how often the process of its run has crashed, its earlier tries included
ROLE = "role"  # of a trial that was enqueued: BASELINE or EARLIER_BEST

BASELINE, EARLIER_BEST = "baseline", "earlier best"
CRASHED = "its process crashed"
STARTUP_TRIALS = 20  # random ones, some pruned. After 10, TPE can stay with a bad category
REDUCTION_FACTOR = 3  # Hyperband keeps every third trial
RUNGS = 3  # a training can be pruned after 1/9 and 1/3 of its steps


def make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """TPE (Bergstra et al. 2011) whose draws are a function of the seed and the trial's number.

    So a study that resumes after a kill does not draw its first points again.
    """
    state = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(
        multivariate=True, group=True, n_startup_trials=STARTUP_TRIALS, seed=state
    )


def min_steps(schedule: ScheduleConfig) -> int:
    """No trial is pruned before so many training steps."""
    first_rung: int = schedule.steps // REDUCTION_FACTOR ** (RUNGS - 1)
    return max(1, first_rung, min(schedule.validate_every, schedule.steps))


def make_pruner(schedule: ScheduleConfig) -> optuna.pruners.BasePruner:
    """Hyperband (Li et al. 2018) over training steps."""
    return optuna.pruners.HyperbandPruner(
        min_resource=min_steps(schedule),
        max_resource=schedule.steps,
        reduction_factor=REDUCTION_FACTOR,
    )


def open_study(storage: Storage, name: str, fingerprint: Fingerprint) -> optuna.Study:
    """The study of that name, or a new one.

    Raises DataError when it has another fingerprint, UsageError when it is not one of hw4's.
    """
    # Pruners see the study through `prune` alone: through Study.pruner Hyperband would also hide
    # from the sampler all trials of other brackets.
    study = optuna.create_study(
        storage=storage.backend,
        study_name=storage.study_name(name),
        direction=OBJECTIVES[fingerprint.objective].direction,
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    if is_foreign(study, fingerprint):
        raise UsageError(
            f"{storage.name} holds a study {name!r} that is not one of hw4's",
            f"choose another name, such as {unused_name(storage, name)}",
            parameter="study",
        )
    attach_fingerprint(study, fingerprint)
    return study


def is_foreign(study: optuna.Study, fingerprint: Fingerprint) -> bool:
    """Whether someone else made the study: it has no attribute of hw4's but trials, or a direction
    of its own.
    """
    if study.user_attrs:
        return not study.user_attrs.keys() & KEYS
    direction = OBJECTIVES[fingerprint.objective].direction
    return bool(study.get_trials(deepcopy=False)) or study.direction.name.lower() != direction


def unused_name(storage: Storage, name: str) -> str:
    names = optuna.get_all_study_names(storage.backend)
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return next(other for other in numbered if other not in names)


def enqueue(study: optuna.Study, role: str, params: Mapping[str, object]) -> None:
    """Have a trial of `params` run before anything is drawn; once, however often it is enqueued."""
    study.enqueue_trial(dict(params), user_attrs={ROLE: role}, skip_if_exists=True)


@dataclass(frozen=True)
class TrialCounts:
    """Trials by state. `finished` ones are complete, pruned or failed; one that crashed and was
    retried counts in `retried` only.
    """

    finished: int
    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int
    retried: int


def active_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials, without those that crashed and were retried as another one."""
    trials = study.get_trials(deepcopy=False)
    retried = {number for trial in trials for number in retry_history(trial)}
    return [trial for trial in trials if trial.number not in retried]


def count(study: optuna.Study) -> TrialCounts:
    trials = active_trials(study)
    states = [trial.state for trial in trials]
    complete, pruned, failed, running, waiting = (
        states.count(state)
        for state in (
            TrialState.COMPLETE,
            TrialState.PRUNED,
            TrialState.FAIL,
            TrialState.RUNNING,
            TrialState.WAITING,
        )
    )
    retried = len(study.get_trials(deepcopy=False)) - len(trials)
    finished = complete + pruned + failed
    return TrialCounts(finished, complete, pruned, failed, running, waiting, retried)


def ask(study: optuna.Study, total: int, seed: int) -> optuna.Trial | None:
    """The next trial, or None when `total` are finished or running; hold the storage's lock."""
    counts = count(study)
    if counts.finished + counts.running >= total:
        return None
    study.sampler = make_sampler(seed, next_number(study))
    return study.ask()


def next_number(study: optuna.Study) -> int:
    """The number that the next trial has, or would have, had no coordinator been killed: a retry
    is the same trial, and not one more.
    """
    trials = sorted(active_trials(study), key=first_number)
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    if not waiting:
        return len(trials)
    return trials.index(min(waiting, key=lambda trial: trial.number))  # as Optuna chooses


def retry_crashed(study: optuna.Study) -> None:
    """Enqueue crashed trials again, also those whose coordinator was killed before it could.

    RETRIES crashes of a run's process are retried; a kill of the coordinator is none.
    Raises DataError when it is the baseline that failed.
    """
    for trial in active_trials(study):
        if trial.state != TrialState.FAIL:
            continue
        if not trial.user_attrs.get(PERMANENT) and trial.user_attrs.get(CRASHES, 0) <= RETRIES:
            retry(study, deepcopy(trial))  # Optuna appends to the trial's own list
        elif trial.user_attrs.get(ROLE) == BASELINE:
            reason = trial.user_attrs.get(FAILURE, CRASHED)
            raise DataError(f"the baseline does not train: {reason}", "see `hw4 train`")


def prune(study: optuna.Study, pruner: optuna.pruners.BasePruner, number: int) -> bool:
    """Whether trial `number` should stop here. The baseline is never pruned: all others are
    compared with it.
    """
    trial = study.get_trials(deepcopy=False)[number]
    return trial.user_attrs.get(ROLE) != BASELINE and pruner.prune(study, trial)


def best_trials(study: optuna.Study, objective: Objective, most: int) -> list[FrozenTrial]:
    """The best complete trials, of different parameters, best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best: list[FrozenTrial] = []
    params: list[Params] = []
    for trial in sorted(complete, key=lambda t: -objective.sign * float(t.value or 0.0)):
        if len(best) < most and trial.params not in params:
            best.append(trial)
            params.append(trial.params)
    return best
