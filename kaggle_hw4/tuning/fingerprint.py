"""What the trials of a study have in common, kept in its user attributes: all must share it."""

from collections.abc import Iterator, Mapping
from typing import Literal

import optuna

from kaggle_hw4.errors import DataError
from kaggle_hw4.run_manifest import FoldTable, Record
from kaggle_hw4.settings import Values
from kaggle_hw4.tuning.space import AnyParameter

FORMAT = 2  # of all that hw4 keeps in a study's user attributes
KEY = "fingerprint"
KEYS = {KEY, "space"}  # attributes that every study of hw4 has one of; "space" was that of 0.1
REMEDY = "name a new study"


class Fingerprint(Record):
    """`recipe` is the baseline's; `corpus` is a hash. The search validates on `fold`."""

    format: Literal[2] = 2
    variant: str
    recipe: Values
    space: dict[str, AnyParameter]
    corpus: str
    folds: FoldTable
    objective: str
    fold: int
    seed: int


def read_fingerprint(study: optuna.Study) -> Fingerprint:
    """The fingerprint of a study; DataError where another version of hw4 made it."""
    return Fingerprint.model_validate(_stored(study))


def attach_fingerprint(study: optuna.Study, fingerprint: Fingerprint) -> None:
    """Write the fingerprint of a new study, or check that of an existing one.

    Raises DataError where another version of hw4 made the study, or where anything differs.
    """
    current = fingerprint.model_dump(mode="json")
    if not study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(KEY, current)
    elif differing := list(differences(_stored(study), current)):
        raise DataError(
            f"the study {study.study_name} has another fingerprint ({'; '.join(differing)})", REMEDY
        )


def differences(stored: object, current: object, path: str = "") -> Iterator[str]:
    """Every leaf in which two JSON values differ, as `path is a in the study and b now`."""
    if isinstance(stored, list) and isinstance(current, list):
        stored, current = dict(enumerate(stored)), dict(enumerate(current))
    if isinstance(stored, Mapping) and isinstance(current, Mapping):
        for key in dict.fromkeys([*stored, *current]):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(stored.get(key), current.get(key), below)
    elif stored != current:
        yield f"{path} is {_short(stored)} in the study and {_short(current)} now"


def _stored(study: optuna.Study) -> dict[str, object]:
    if not study.user_attrs.keys() & KEYS:
        raise DataError(f"the study {study.study_name} is not one of hw4's", REMEDY)
    values = study.user_attrs.get(KEY)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"the study {study.study_name} was made by another version of hw4", REMEDY)
    return values


def _short(value: object) -> str:
    if value is None:
        return "not set"
    return "set" if isinstance(value, Mapping | list) else str(value)
