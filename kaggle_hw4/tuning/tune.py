"""A study from its first trial to its winner, or what is left of it."""

from pathlib import Path
from typing import Any

import optuna

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.tuning.coordinator import Coordinator, Watcher
from kaggle_hw4.tuning.finalists import find_candidates, name_winner, retrain, write_winner
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.storage import look_into, open_storage
from kaggle_hw4.tuning.study import DEFAULT, EARLIER, FINALS, enqueue, open_study
from kaggle_hw4.tuning.summary import load, summarise


def tune(plan: Plan, url: str | None, heartbeat: int, watcher: Watcher) -> dict[str, Any]:
    """Search until the total is told, then the finals; return the study's summary."""
    with open_storage(plan.folder, url, plan.jobs, heartbeat) as storage:
        with storage.turn():
            study = open_study(storage, plan.name, plan.made_of(), plan.objective)
            enqueue(study, DEFAULT, plan.space.locate(plan.base))
            enqueue_earlier_best(plan, study, watcher)
        Coordinator(plan, storage, study, watcher).search()
        with storage.alone() as mine:
            if mine:
                _finish(plan, study, watcher)
            else:
                watcher.say("another coordinator retrains the finalists")
        return summarise(study)


def enqueue_earlier_best(plan: Plan, study: optuna.Study, watcher: Watcher) -> None:
    """Have the winner of an earlier study of this variant asked early, if the space holds it."""
    path = plan.tuned
    if path.is_file():
        try:
            enqueue(study, EARLIER, plan.space.locate(read_recipe(path)))
        except RecipeError as error:
            watcher.say(f"the earlier best is left out: {error}")


def _finish(plan: Plan, study: optuna.Study, watcher: Watcher) -> None:
    candidates = find_candidates(plan, study)
    finals = name_winner(plan, candidates, retrain(plan, candidates, watcher))
    path = write_winner(plan, study, candidates, finals)
    study.set_user_attr(FINALS, finals | {"variant": path})


def show(folder: Path, url: str | None) -> dict[str, Any]:
    """The summary of a study, running or not."""
    with look_into(folder, url) as storage:
        return summarise(load(storage, folder.name))
