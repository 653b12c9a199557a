"""From runs, or folders of runs, to the differences between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.metrics import Accuracy, PairedDifference
from kaggle_hw4.progress import Bar, counted, no_bar
from kaggle_hw4.stages.ensemble import check_corpus, labels_of
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.ensemble.blend import Stack
    from kaggle_hw4.metrics import Bools
    from kaggle_hw4.runs import Run


@dataclass(frozen=True)
class ComparedRuns:
    """One side of a comparison: a run, or the uniform blend of a folder of runs."""

    path: Path
    members: tuple[str, ...]  # their names
    accuracy: Accuracy  # out of fold
    folds: tuple[int, ...] = ()  # trained by every member


@dataclass(frozen=True)
class Comparison:
    """Two models on the utterances that both predicted out of fold."""

    first: ComparedRuns
    second: ComparedRuns
    by: str  # what the folds hold out: session or utterance
    difference: PairedDifference  # first minus second


@dataclass(frozen=True)
class Pair:
    """Two groups of several, by their place among them."""

    first: int
    second: int
    difference: PairedDifference  # first minus second
    p_holm: float  # with as many comparisons as there are pairs (Holm 1979)


@dataclass(frozen=True)
class GroupComparison:
    """Several models on the utterances that all predicted out of fold, the best first."""

    groups: tuple[ComparedRuns, ...]
    by: str
    pairs: tuple[Pair, ...]


def find_groups(workspace: Workspace, names: Sequence[str]) -> list[Path]:
    """The folders of runs that `names` mean: paths, or variants with all their recipes.

    The folder of several recipes, given alone, is each of them. Of a variant's recipes, those
    without a finished run are left out. Raises UsageError for fewer than two groups.
    """
    groups = [path for name in names for path in _groups(workspace, name)]
    if len(names) == 1:
        groups = [recipe for path in groups for recipe in _recipes(path)]
    if len(groups) > 2:
        groups = list(dict.fromkeys(groups))
    if len(groups) < 2:
        what = f"{' '.join(names)}: there is one group alone to compare"
        raise UsageError(what, "name two or more, or a folder of several, such as runs")
    return groups


def _groups(workspace: Workspace, name: str) -> list[Path]:
    """The folders of runs called `name`: of several, those with a finished run."""
    groups = workspace.groups_of_runs(name)
    done = [path for path in groups if any(path.glob("*/run.json"))]
    return done if len(groups) > 1 and done else groups


def _recipes(path: Path) -> list[Path]:
    """The folders of recipes in a folder of runs; itself where it is none of several."""
    from kaggle_hw4.runs import find_runs

    recipes = {run.folder.parent for run in find_runs([path]) if run.done}
    inside = [each for each in sorted(path.iterdir()) if each.resolve() in recipes]
    return inside or [path]


def compare(workspace: Workspace, first: Path, second: Path, bar: Bar = no_bar) -> Comparison:
    """Compare two runs, or the uniform blends of two folders of runs.

    `bar(name)` makes the progress of a stage. Raises DataError where they come from different
    corpora or fold tables, or share no utterance.
    """
    compared, correct, stack, by = _predict(workspace, [first, second], bar)
    difference = stack.paired(correct[0], correct[1])
    return Comparison(compared[0], compared[1], by, difference)


def compare_groups(
    workspace: Workspace, paths: Sequence[Path], bar: Bar = no_bar
) -> GroupComparison:
    """Compare every two of several folders of runs, each blended uniformly; raises as `compare`."""
    compared, correct, stack, by = _predict(workspace, paths, bar)
    order = sorted(range(len(paths)), key=lambda i: -compared[i].accuracy.accuracy)
    pairs = list(combinations(range(len(paths)), 2))
    hits = [correct[i] for i in order]
    differences = [stack.paired(hits[i], hits[j]) for i, j in counted(pairs, bar("differences"))]
    adjusted = holm([difference.p for difference in differences])
    return GroupComparison(
        groups=tuple(compared[i] for i in order),
        by=by,
        pairs=tuple(
            Pair(i, j, difference, p)
            for (i, j), difference, p in zip(pairs, differences, adjusted, strict=True)
        ),
    )


def holm(values: Sequence[float]) -> list[float]:
    """The p values after the correction for so many comparisons of Holm (1979), in their order."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, i in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted


def _finished(path: Path) -> "list[Run]":
    from kaggle_hw4.runs import find_runs, finished

    try:
        return finished(find_runs([path]))
    except DataError as error:
        raise DataError(f"{shown(path)}: {error.what}", error.then) from error


def _predict(
    workspace: Workspace, paths: Sequence[Path], bar: Bar
) -> "tuple[list[ComparedRuns], list[Bools], Stack, str]":
    """Each side, whether it is right on each utterance that all share, and these utterances."""
    from kaggle_hw4.ensemble.blend import stack_members
    from kaggle_hw4.ensemble.combine import likeliest_of_mean, uniform
    from kaggle_hw4.ensemble.members import check_one_corpus, find_members

    # All sides, checked to belong to one corpus and one fold table.
    runs = [_finished(path) for path in paths]
    check_one_corpus({run: run.manifest() for side in runs for run in side})
    corpus = corpus_of(workspace, bar)
    check_corpus(corpus, [run for side in runs for run in side])
    sides = [find_members(side, bar) for side in runs]

    # Their predictions of the utterances that all members share.
    stack = stack_members([member for side in sides for member in side], labels_of(corpus), bar)
    compared, correct, start = [], [], 0
    for path, side in zip(paths, sides, strict=True):
        part = stack.logp[start : start + len(side)]
        start += len(side)
        hits = likeliest_of_mean(part, uniform(len(part))) == stack.y
        folds = tuple(sorted(set.intersection(*(set(member.folds) for member in side))))
        names = tuple(member.name for member in side)
        compared.append(ComparedRuns(path, names, stack.accuracy(hits), folds))
        correct.append(hits)
    return compared, correct, stack, sides[0][0].by
