"""What a study says when it is looked at: its best, what mattered, and where the space ends."""

from typing import Any

import optuna
from optuna.trial import TrialState

from kaggle_hw4.errors import UsageError
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.space import Space
from kaggle_hw4.tuning.storage import Storage
from kaggle_hw4.tuning.study import FAILURE, FINALS, IDENTITY, ROLE, best_trials, count

SHOWN = 5  # best trials


def load(storage: Storage, name: str) -> optuna.Study:
    """The study of that name, to be read."""
    known = optuna.get_all_study_names(storage.backend)
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "`hw4 tune` makes one"
        raise UsageError(f"there is no study {name!r} on {storage.name}", there)
    study = optuna.load_study(study_name=name, storage=storage.backend)
    if IDENTITY not in study.user_attrs:
        raise UsageError(f"{name} is no study of hw4", "`hw4 tune` makes one")
    return study


def summarise(study: optuna.Study) -> dict[str, Any]:
    """Counts, the best trials, importances, edges, failures and the finals, as plain values."""
    made_of = study.user_attrs[IDENTITY]
    objective = OBJECTIVES[made_of["objective"]]
    best = best_trials(study, objective, SHOWN)
    space = Space.load(study.study_name, made_of["space"])
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return {
        "study": study.study_name,
        "made_of": {k: v for k, v in made_of.items() if k not in ("recipe", "space")},
        "direction": objective.direction,
        "trials": vars(count(study)) | {"told": count(study).told},
        "best": [_describe(trial) for trial in best],
        "importances": importances(study),
        "edges": [
            {"parameter": name, "edge": edge, "value": best[0].params[name]}
            for name, edge in (space.edges(best[0].params) if best else ())
        ],
        "failures": [
            {"trial": t.number, "why": t.user_attrs.get(FAILURE, "its coordinator died")}
            for t in failed
        ],
        "finals": study.user_attrs.get(FINALS),
    }


def _describe(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    role = trial.user_attrs.get(ROLE)
    return {"trial": trial.number, "value": trial.value, "role": role, "params": trial.params}


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter mattered (PED-ANOVA, Watanabe et al. 2023), once trials differ."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    found = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in found.items()}
