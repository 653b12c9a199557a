"""From two runs, or two folders of runs, to the difference between them."""

from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.metrics import Accuracy, PairedDifference
from kaggle_hw4.stages.ensemble import check_corpus, labels_of
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace


@dataclass(frozen=True)
class ComparedRuns:
    """One side of a comparison: a run, or the uniform blend of a folder of runs."""

    path: Path
    members: tuple[str, ...]  # their names
    accuracy: Accuracy  # out of fold


@dataclass(frozen=True)
class Comparison:
    """Two models on the utterances that both predicted out of fold."""

    first: ComparedRuns
    second: ComparedRuns
    by: str  # what the folds hold out: session or utterance
    difference: PairedDifference  # first minus second


def compare(workspace: Workspace, first: Path, second: Path) -> Comparison:
    """Compare two runs, or the uniform blends of two folders of runs.

    Raises DataError where they come from different corpora or fold tables, or share no utterance.
    """
    from kaggle_hw4.ensemble.blend import stack_members
    from kaggle_hw4.ensemble.combine import mean_log_probability, uniform
    from kaggle_hw4.ensemble.members import check_one_corpus, find_members
    from kaggle_hw4.runs import find_runs, finished

    # Both sides, checked to belong to one corpus and one fold table.
    runs = [finished(find_runs([path])) for path in (first, second)]
    check_one_corpus({run: run.manifest() for side in runs for run in side})
    corpus = corpus_of(workspace)
    check_corpus(corpus, [*runs[0], *runs[1]])
    sides = [find_members(side) for side in runs]

    # Their predictions of the utterances that all members share.
    stack = stack_members([*sides[0], *sides[1]], labels_of(corpus))
    parts = (stack.logp[: len(sides[0])], stack.logp[len(sides[0]) :])
    correct = [
        mean_log_probability(part, uniform(len(part))).argmax(1) == stack.y for part in parts
    ]
    compared = [
        ComparedRuns(path, tuple(member.name for member in side), stack.accuracy(hits))
        for path, side, hits in zip((first, second), sides, correct, strict=True)
    ]
    return Comparison(
        first=compared[0],
        second=compared[1],
        by=sides[0][0].by,
        difference=stack.paired(correct[0], correct[1]),
    )
