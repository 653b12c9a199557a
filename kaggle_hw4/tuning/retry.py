"""Retries of a crashed trial: Optuna's callback, and its note of what was retried."""

from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial

from kaggle_hw4.execution.executor import RETRIES
from kaggle_hw4.tuning.quiet import quiet_optuna

with quiet_optuna():
    retry = RetryHeartbeatStaleTrialCallback(max_retry=RETRIES, inherit_intermediate_values=True)


def retry_history(trial: FrozenTrial) -> list[int]:
    """The numbers of the crashed trials that this one retries, the first one first."""
    return list(trial.system_attrs.get("retry_history", []))
