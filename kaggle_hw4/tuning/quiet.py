"""Optuna without its log, its warnings of experimental features and what it imports in vain."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Errors only within the block; log level and warning filters are restored after it."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)


@contextmanager
def without_sklearn() -> Iterator[None]:
    """Optuna imports scikit-learn, which takes more than a second, with its evaluators of
    importance, but PED-ANOVA needs none of it: within the block it is as if not installed.
    """
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    absent = "sklearn" not in modules
    if absent:
        modules["sklearn"] = None
    try:
        yield
    finally:
        if absent:
            del modules["sklearn"]
