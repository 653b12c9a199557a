"""From two runs, or two folders of them, to what differs between them."""

from pathlib import Path
from typing import Any

from kaggle_hw4.stages.ensemble import check_corpus, truth_of
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace


def compare(workspace: Workspace, one: Path, other: Path) -> dict[str, Any]:
    """Two runs, or the uniform blends of two folders of runs, on the rows that both predicted."""
    from kaggle_hw4.ensemble.blend import stack_members
    from kaggle_hw4.ensemble.combine import mean_log_probability, uniform
    from kaggle_hw4.ensemble.members import check_one_corpus, find_members
    from kaggle_hw4.runs import find_runs, finished

    runs = [finished(find_runs([path])) for path in (one, other)]
    check_one_corpus({run: run.manifest() for side in runs for run in side})
    corpus = corpus_of(workspace)
    check_corpus(corpus, [*runs[0], *runs[1]])
    sides = [find_members(side) for side in runs]
    stack = stack_members([*sides[0], *sides[1]], truth_of(corpus))
    parts = (stack.logp[: len(sides[0])], stack.logp[len(sides[0]) :])
    right = [mean_log_probability(part, uniform(len(part))).argmax(1) == stack.y for part in parts]
    return {
        "runs": [
            {
                "path": workspace.shown(path),
                "members": [m.name for m in side],
                **stack.accuracy(hits),
            }
            for path, side, hits in zip((one, other), sides, right, strict=True)
        ],
        "by": sides[0][0].by,
        "first_less_second": stack.paired(right[0], right[1]),
    }
