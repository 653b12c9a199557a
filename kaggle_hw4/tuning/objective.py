"""What a study optimises, and where a run reports it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, find_folds
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.run_manifest import Manifest


@dataclass(frozen=True)
class Objective:
    """A metric of the validation, on a fold table `by` session or utterance."""

    name: str
    by: str
    metric: Literal["accuracy", "loss"]
    direction: Literal["maximize", "minimize"]

    def of_report(self, line: Mapping[str, float]) -> float | None:
        """The metric in a line of metrics.jsonl; None where that step was not validated."""
        return line.get(f"validation_{self.metric}")

    def of_run(self, manifest: Manifest) -> float:
        """The metric of a finished run."""
        return float(getattr(manifest.validation, self.metric))

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
        raise UsageError(
            f"{name} is not an objective",
            f"choose one of {', '.join(OBJECTIVES)}",
            parameter="objective",
        )
    return OBJECTIVES[name]


def find_fold_table(objective: Objective, folder: Path, corpus: Corpus, name: str | None) -> Folds:
    """The fold table that the objective needs: the one named, or the only one of its kind."""
    names = [name] if name else [path.stem for path in sorted(folder.glob("*.csv"))]
    tables = [find_folds(folder, corpus, each) for each in names]
    suitable = [table for table in tables if table.by == objective.by]
    if not suitable:
        raise DataError(
            f"the objective {objective.name} needs a fold table by {objective.by}",
            "make one with `hw4 split`",
        )
    if len(suitable) > 1:
        listed = ", ".join(table.name for table in suitable)
        raise UsageError(
            f"there are several fold tables by {objective.by}", f"name one of {listed}", "split"
        )
    return suitable[0]
