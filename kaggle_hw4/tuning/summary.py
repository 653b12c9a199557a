"""The summary of a study: its best trials, what mattered, and where the space is too narrow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from kaggle_hw4.errors import UsageError
from kaggle_hw4.tuning.finals import Finals, read_finals
from kaggle_hw4.tuning.fingerprint import Fingerprint, read_fingerprint
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.quiet import without_sklearn
from kaggle_hw4.tuning.space import Params, Scalar, Space
from kaggle_hw4.tuning.storage import Storage, known_studies
from kaggle_hw4.tuning.study import (
    CRASHED,
    FAILURE,
    ROLE,
    TrialCounts,
    best_trials,
    count,
)

SHOWN = 5  # best trials


@dataclass(frozen=True)
class TrialSummary:
    """A complete trial; `role` is that of an enqueued one, None for one that was drawn."""

    trial: int
    value: float
    role: str | None
    params: Params


@dataclass(frozen=True)
class Edge:
    """A parameter whose best value is the `largest` or `smallest` that the space allows."""

    parameter: str
    edge: str
    value: Scalar


@dataclass(frozen=True)
class Failure:
    trial: int
    reason: str


@dataclass(frozen=True)
class StudySummary:
    """`importances` are shares by parameter, {} where the trials do not differ yet."""

    study: str
    fingerprint: Fingerprint
    direction: str
    trials: TrialCounts
    best: tuple[TrialSummary, ...]
    importances: dict[str, float]
    edges: tuple[Edge, ...]
    failures: tuple[Failure, ...]
    finals: Finals | None
    runs: Mapping[int, Path] = field(default_factory=dict)  # trial → the runs of a finalist, here


def load_study(storage: Storage, name: str) -> optuna.Study:
    """The study of that name, for reading; UsageError when there is none."""
    name = storage.study_name(name)
    known = optuna.get_all_study_names(storage.backend)
    if name not in known:
        raise UsageError(f"there is no study {name!r} on {storage.name}", known_studies(known))
    return optuna.load_study(study_name=name, storage=storage.backend)


def summarise(study: optuna.Study, folder: Path) -> StudySummary:
    """The summary of the study in `folder`, running or not; DataError where another version of hw4
    made it.
    """
    fingerprint = read_fingerprint(study)
    objective = OBJECTIVES[fingerprint.objective]
    best, finals = best_trials(study, objective, SHOWN), read_finals(study)
    if finals and finals.variant:  # is relative to the workspace
        variant = str(folder.parent.parent / finals.variant)
        finals = finals.model_copy(update={"variant": variant})
    return StudySummary(
        study=study.study_name,
        fingerprint=fingerprint,
        direction=objective.direction,
        trials=count(study),
        best=tuple(_describe(trial) for trial in best),
        importances=importances(study),
        edges=find_edges(Space(study.study_name, fingerprint.space), best[0]) if best else (),
        failures=find_failures(study),
        finals=finals,
        runs=final_runs(finals, folder) if finals else {},
    )


def final_runs(finals: Finals, folder: Path) -> dict[int, Path]:
    """The folders of the finalists' runs that are on this machine, by trial: in the study's, or in
    the workspace's where they had been trained already.
    """
    places = (folder / "runs", folder.parent.parent / "runs")
    folders = {
        standing.trial: [place / standing.runs for place in places if standing.runs]
        for standing in finals.candidates
    }
    here = {trial: [p for p in paths if p.is_dir()] for trial, paths in folders.items()}
    return {trial: paths[0] for trial, paths in here.items() if paths}


def _describe(trial: FrozenTrial) -> TrialSummary:
    value = float(trial.value or 0.0)
    return TrialSummary(trial.number, value, trial.user_attrs.get(ROLE), trial.params)


def importances(study: optuna.Study) -> dict[str, float]:
    """The importance of each parameter (PED-ANOVA, Watanabe et al. 2023), once trials differ."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2:
        return {}
    with without_sklearn():
        shares = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in shares.items()}


def find_edges(space: Space, best: FrozenTrial) -> tuple[Edge, ...]:
    edges = space.edges(best.params)
    return tuple(Edge(name, edge, best.params[name]) for name, edge in edges)


def find_failures(study: optuna.Study) -> tuple[Failure, ...]:
    """All failed trials, also those that were retried."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    return tuple(Failure(trial.number, trial.user_attrs.get(FAILURE, CRASHED)) for trial in failed)
