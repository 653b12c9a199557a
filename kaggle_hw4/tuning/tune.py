"""A study from its first trial to its winner; one that was stopped resumes."""

from dataclasses import replace
from pathlib import Path

import optuna

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.execution.executor import Executor
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.tuning.coordinator import Coordinator, StudyMonitor
from kaggle_hw4.tuning.finalists import find_candidates, retrain
from kaggle_hw4.tuning.finals import name_winner, write_finals, write_winner
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.server import note_address
from kaggle_hw4.tuning.storage import open_storage, read_storage
from kaggle_hw4.tuning.study import BASELINE, EARLIER_BEST, enqueue, open_study
from kaggle_hw4.tuning.summary import StudySummary, load_study, summarise


def tune(
    plan: Plan,
    url: str | None,
    heartbeat: int,
    monitor: StudyMonitor,
    given: TimeGiven | None = None,
) -> StudySummary:
    """Search until the plan's trials have finished, retrain the finalists, summarise.

    In a given time it asks for no trial that would not leave the time for the finals; UsageError
    for a time where the runs are trained on a cluster.

    `url` is that of a server; without one the study is a journal file in the plan's folder.
    `heartbeat` is the time in seconds between two heartbeats to the server.
    """
    from kaggle_hw4.tuning.search_time import search_time  # measures, and so needs torch

    if given is not None:
        plan.placement.check_speed("time_limit")
    with (
        plan.placement.executor(str(plan.workspace.root)) as executor,
        search_time(plan, given, monitor) as time_left,
        open_storage(plan.folder, url, executor.jobs, heartbeat) as storage,
    ):
        trials = plan.placement.trials_of(executor)  # at a time; of the finals as many as fit
        plan = replace(plan, placement=replace(plan.placement, jobs=trials))
        if url is not None:
            note_address(plan.folder, url)
        # Open the study; its first trials are the baseline and an earlier winner.
        with storage.lock():
            study = open_study(storage, plan.name, plan.fingerprint())
            enqueue(study, BASELINE, plan.space.locate(plan.baseline))
            enqueue_earlier_best(plan, study, monitor)
        # Search.
        Coordinator(plan, storage, study, monitor, executor, time_left).search()
        # One of the coordinators retrains the finalists.
        with storage.finals_lock() as locked:
            if locked:
                _run_finals(plan, study, monitor, executor)
            else:
                monitor.say("another coordinator retrains the finalists")
        return summarise(study, plan.folder)


def enqueue_earlier_best(plan: Plan, study: optuna.Study, monitor: StudyMonitor) -> None:
    """Enqueue the winner of an earlier study of this variant, if the space contains it."""
    if plan.tuned.is_file():
        try:
            enqueue(study, EARLIER_BEST, plan.space.locate(read_recipe(plan.tuned)))
        except RecipeError as error:
            monitor.say(f"the earlier best is left out: {error}")


def _run_finals(plan: Plan, study: optuna.Study, monitor: StudyMonitor, executor: Executor) -> None:
    candidates = find_candidates(plan, study)
    finals = name_winner(plan, candidates, retrain(plan, candidates, monitor, executor))
    path = write_winner(plan, len(study.trials), candidates, finals)
    # Relative to the workspace, which another machine may have elsewhere.
    variant = path and str(Path(path).relative_to(plan.workspace.root))
    write_finals(study, finals.model_copy(update={"variant": variant}))


def read_summary(folder: Path, url: str | None) -> StudySummary:
    """The summary of the study that is called as `folder` is, running or not."""
    with read_storage(folder, url) as storage:
        return summarise(load_study(storage, folder.name), folder)
