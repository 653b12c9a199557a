"""The runs of a report, grouped: those of one recipe, fold table and corpus belong together."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.competition import LADDER
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.stages.train import FinishedRun


@dataclass(frozen=True)
class Group:
    """Finished runs of one recipe, all folds and seeds."""

    name: str  # of their folder, such as boss-1a2b3c4d
    variant: str
    runs: tuple[FinishedRun, ...]

    @property
    def by(self) -> str:
        """What the folds hold out: session or utterance."""
        return self.runs[0].manifest.folds.by

    @property
    def table(self) -> str:
        """The hash of the fold table."""
        return self.runs[0].manifest.folds.hash

    @property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({each.manifest.fold for each in self.runs}))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({each.manifest.seed for each in self.runs}))

    @property
    def accuracy(self) -> float:
        """The mean of its runs' validation accuracies."""
        return sum(r.manifest.validation.accuracy for r in self.runs) / len(self.runs)


@dataclass(frozen=True)
class RunList:
    """The runs below some folders; `problems` says which cannot be read, and why."""

    groups: tuple[Group, ...]  # from the lowest rung of the ladder up
    unfinished: tuple[Run, ...]
    problems: tuple[str, ...]


def read_runs(folders: Iterable[Path]) -> RunList:
    """The runs below `folders`; folders that do not exist hold none."""
    groups: dict[str, list[FinishedRun]] = defaultdict(list)
    unfinished, problems = [], []
    for run in find_runs(folder for folder in folders if folder.is_dir()):
        if not run.done:
            unfinished.append(run)
            continue
        try:
            groups[run.folder.parent.name].append(FinishedRun(run, run.manifest()))
        except Hw4Error as error:
            problems.append(str(error))
    listed = [_group(name, runs) for name, runs in groups.items()]
    return RunList(tuple(sorted(listed, key=ladder_order)), tuple(unfinished), tuple(problems))


def logged(run: Run) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl; none where that is damaged."""
    try:
        lines = list(run.logged())
        return [line for line in lines if {"step", "accuracy"} <= line.keys()]
    except (ValueError, AttributeError):
        return []


def _group(name: str, runs: Sequence[FinishedRun]) -> Group:
    ordered = sorted(runs, key=lambda each: (each.manifest.fold, each.manifest.seed))
    return Group(name, ordered[0].manifest.variant, tuple(ordered))


def ladder_order(group: Group) -> tuple[int, str]:
    rung = LADDER.index(group.variant) if group.variant in LADDER else len(LADDER)
    return rung, group.name


def comparable(groups: Sequence[Group], corpus: str) -> tuple[list[Group], list[str]]:
    """The groups on one corpus and its most used fold table; for the others, why they are not."""
    tables: dict[str, int] = defaultdict(int)
    for group in groups:
        tables[group.table] += group.runs[0].manifest.corpus == corpus
    table = max(tables, key=lambda name: tables[name], default="")
    kept, left_out = [], []
    for group in groups:
        manifest = group.runs[0].manifest
        if manifest.corpus != corpus:
            left_out.append(f"{group.name} was trained on another corpus: it is only under Cost.")
        elif group.table != table:
            left_out.append(f"{group.name} was trained on another fold table: only under Cost.")
        else:
            kept.append(group)
    return kept, left_out
