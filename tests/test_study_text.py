"""A study and its cost as text."""

from kaggle_hw4.cli.study import render_cost, render_summary
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.tuning.estimate import CostEstimate
from kaggle_hw4.tuning.finals import Finals, Standing
from kaggle_hw4.tuning.fingerprint import Fingerprint
from kaggle_hw4.tuning.study import TrialCounts
from kaggle_hw4.tuning.summary import Edge, Failure, StudySummary, TrialSummary
from tests.conftest import tiny

BASELINE = Standing(
    trial=0,
    baseline=True,
    search_value=0.5,
    mean=0.46,
    deviation=0.05,
    n=4,
    search_lead=0.0,
    final_lead=0.0,
    standard_error=0.0,
    pairs=3,
)
WINNER = BASELINE.model_copy(
    update={
        "trial": 7,
        "baseline": False,
        "search_value": 0.6,
        "mean": 0.5,
        "search_lead": 0.1,
        "final_lead": 0.02,
        "standard_error": 0.005,
    }
)
FINALS = Finals(candidates=(WINNER, BASELINE), folds=2, seeds=(0, 1), variant="boss_tuned.toml")
FINGERPRINT = Fingerprint(
    variant="boss",
    recipe=tiny("boss").sections(),
    space={},
    corpus="c",
    folds=FoldTable(name="session2", by="session", count=2, hash="f"),
    objective="session",
    fold=0,
    seed=0,
)


COST = CostEstimate(4, 0.02, 0.03, 1.5, 60.0, 0.5, 3600.0, 9000.0, 8, 12600.0)


def summary_of(finals: Finals | None) -> StudySummary:
    return StudySummary(
        study="boss",
        fingerprint=FINGERPRINT,
        direction="maximize",
        trials=TrialCounts(9, complete=5, pruned=3, failed=1, running=2, waiting=0, retried=4),
        best=(TrialSummary(7, 0.6, None, {"loss.scale": 59.9}),),
        importances={"loss.scale": 1.0},
        edges=(Edge("loss.scale", "largest", 59.9),),
        failures=(Failure(3, "the training diverged"),),
        finals=finals,
    )


def text_of(finals: Finals | None) -> str:
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_summary(summary_of(finals)))
    return capture.get()


def test_a_summary_has_counts_edges_and_failures() -> None:
    text = text_of(None)
    for expected in (
        "boss: 9 trials finished (5 complete, 3 pruned, 1 failed), 2 running, 0 waiting; "
        "4 crashed and were retried",
        "the best loss.scale is the largest that the space allows (59.9): widen the space",
        "trial 3 failed: the training diverged",
    ):
        assert expected in text
    assert "finals" not in text


def test_the_selection_bias_of_a_winner_is_reported() -> None:
    text = text_of(FINALS)
    assert "winner: trial 7, boss_tuned.toml" in text
    assert (
        "lead over the baseline: +0.1000 on the fold and seed of the search, "
        "+0.0200 ± 0.0050 on 3 others; the difference, +0.0800, is selection bias"
    ) in text


def test_a_lead_on_one_other_fold_is_in_the_singular() -> None:
    once = FINALS.model_copy(
        update={"candidates": (WINNER.model_copy(update={"pairs": 1}), BASELINE)}
    )
    assert "on 1 other; the difference" in text_of(once)


def test_a_winner_on_the_fold_of_the_search_alone_is_reported_with_a_warning() -> None:
    update = {"final_lead": None, "standard_error": None, "pairs": 0}
    alone = FINALS.model_copy(update={"candidates": (WINNER.model_copy(update=update), BASELINE)})
    assert "its lead may be selection bias alone" in text_of(alone)


def test_a_baseline_that_wins_is_reported() -> None:
    stays = FINALS.model_copy(update={"candidates": (BASELINE, WINNER), "variant": None})
    assert "no finalist beats the baseline: no variant is written" in text_of(stays)


def test_a_cost_estimate_has_a_line_for_each_part() -> None:
    lines = render_cost(COST, trials=50, jobs=2).splitlines()
    assert [line.split()[0] for line in lines] == ["step", "trial", "search", "finals", "total"]
    assert lines[2] == "search  60 min: 50 trials, 2 in parallel"
    assert lines[3:] == ["finals  2.5 h: 8 runs", "total   3.5 h"]
