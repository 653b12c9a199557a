"""What a study looks for, and where a run says it: the one place that knows both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, find_folds
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.runs import Manifest


@dataclass(frozen=True)
class Objective:
    """A figure of the validation on a fold table that holds out utterances or sessions."""

    name: str
    by: str
    figure: Literal["accuracy", "loss"]
    direction: Literal["maximize", "minimize"]

    def of_report(self, line: Mapping[str, float]) -> float | None:
        """The figure in a line of metrics.jsonl, where it validated."""
        return line.get(f"validation_{self.figure}")

    def of_run(self, manifest: Manifest) -> float:
        return float(getattr(manifest.validation, self.figure))

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.direction == "maximize" else -1


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("session", "session", "accuracy", "maximize"),
        Objective("utterance", "utterance", "accuracy", "maximize"),
        Objective("logloss", "session", "loss", "minimize"),
    )
}


def find_objective(name: str) -> Objective:
    if name not in OBJECTIVES:
        raise UsageError(f"--objective {name}: choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def find_table(objective: Objective, folder: Path, corpus: Corpus, name: str | None) -> Folds:
    """The fold table that the objective needs: the one named, or the only one of its kind."""
    names = [name] if name else [path.stem for path in sorted(folder.glob("*.csv"))]
    tables = [find_folds(folder, corpus, each) for each in names]
    fitting = [table for table in tables if table.by == objective.by]
    if not fitting:
        raise DataError(
            f"the objective {objective.name} needs a fold table by {objective.by}",
            f"run `hw4 split --folds 5 --by {objective.by}` first",
        )
    if len(fitting) > 1:
        listed = ", ".join(table.name for table in fitting)
        raise UsageError(
            f"there are several fold tables by {objective.by}: {listed}", "name one with --split"
        )
    return fitting[0]
