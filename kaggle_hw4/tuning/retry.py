"""Retries of a crashed trial: Optuna's callback, and its note of what was retried."""

from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial

from kaggle_hw4.tuning.quiet import quiet_optuna

# How often is for the caller to say: an end of the coordinator does not count.
with quiet_optuna():
    retry = RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)


def retry_history(trial: FrozenTrial) -> list[int]:
    """The numbers of the crashed trials that this one retries, the first one first."""
    return list(trial.system_attrs.get("retry_history", []))


def first_number(trial: FrozenTrial) -> int:
    """The number of the first try of a trial: its own, where it is no retry."""
    return [*retry_history(trial), trial.number][0]
