"""Why one model is better than another, in words from the numbers."""

import dataclasses
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.metrics import Accuracy, PairedDifference
from kaggle_hw4.report.collect import ComparisonReport
from kaggle_hw4.report.comparison import (
    Calibration,
    Curve,
    Difference,
    ModelComparison,
    calibrate,
    choose_pairs,
)
from kaggle_hw4.report.groups import read_runs
from kaggle_hw4.report.predictions import (
    Predictions,
    in_common,
    read_predictions,
    rows_by_id,
)
from kaggle_hw4.report.views.comparison import answer, question
from kaggle_hw4.runs import find_runs
from kaggle_hw4.stages.compare import compare
from kaggle_hw4.workspace import Workspace
from tests.report_workspace import chain

__all__ = ["chain"]
HALF = Accuracy(0.5, 0.01, 0.48, 0.52, 100)


def difference(points: float, error: float) -> Difference:
    d, s = points / 100, error / 100
    paired = PairedDifference(d, 10, 5, 100, d - 1.96 * s, d + 1.96 * s, s, 0.01)
    return Difference(HALF, HALF, paired, 40, 45)


def comparison(known: Difference | None, new: Difference | None) -> ModelComparison:
    calibration, curve = Calibration((), (), (), 0.0, 0.0), Curve((), (), (), ())
    return ModelComparison(
        "Boss", "Strong", new, known, (), (), (calibration, calibration), (curve, curve)
    )


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        ((1.2, 0.5), (-3.4, 0.9), "it has learnt sessions."),
        ((4.0, 0.5), (0.1, 0.9), "part of what it gains is knowledge of sessions"),
        ((0.0, 0.5), (3.0, 0.5), "carries over to new sessions better."),
        ((3.0, 0.5), (3.1, 0.5), "Boss is the better model, in both kinds alike."),
        ((-3.0, 0.5), (-3.1, 0.5), "Strong is the better model, in both kinds alike."),
        ((-8.7, 2.5), (-3.2, 2.3), "Strong is the better model, clearly so in known sessions;"),
        ((0.3, 0.5), (0.1, 0.5), "no difference that could be told from noise."),
    ],
)
def test_the_answer_follows_from_the_two_differences(
    known: tuple[float, float], new: tuple[float, float], expected: str
) -> None:
    assert expected in answer(comparison(difference(*known), difference(*new)))


def test_the_answer_has_its_numbers_with_their_errors() -> None:
    boss = comparison(difference(1.2, 0.5), difference(-3.4, 0.9))
    assert answer(boss) == (
        "Against Strong, Boss leads by 1.2 ± 0.5 points in known sessions and trails by 3.4 ± 0.9 "
        "points in new ones: it has learnt sessions."
    )
    assert question(ComparisonReport((boss,))) == "Why did Boss fall below Strong?"


def test_folds_by_utterance_say_nothing_of_new_sessions() -> None:
    text = answer(comparison(difference(0.1, 0.5), None))
    assert "Boss is level within noise (+0.1 ± 0.5 points) in known sessions." in text


def test_the_difference_is_that_of_hw4_compare(chain: Path) -> None:
    from kaggle_hw4.report.comparison import compare_groups

    corpus = open_corpus(chain / "packed")
    strong, boss = (
        read_predictions(group, corpus, rows_by_id(corpus))
        for group in read_runs([chain / "runs"]).groups
    )
    compared = compare_groups(boss, strong, corpus)
    folders = (each.group.runs[0].run.folder.parent for each in (boss, strong))
    expected = compare(Workspace.at(chain), *folders)
    assert asdict(compared.new.paired) == pytest.approx(asdict(expected.difference))
    assert asdict(compared.new.first) == pytest.approx(asdict(expected.first.accuracy))


def test_the_higher_rung_is_compared_with_the_one_below(chain: Path) -> None:
    corpus = open_corpus(chain / "packed")
    rows = rows_by_id(corpus)
    groups = [read_predictions(g, corpus, rows) for g in read_runs([chain / "runs"]).groups]
    assert [each.group.variant for each in groups] == ["strong", "boss"]
    assert choose_pairs(groups) == [(1, 0)]
    assert choose_pairs(groups[:1]) == []
    assert choose_pairs(groups, {groups[0].group.name}) == [(0, 1)]
    tuned = dataclasses.replace(groups[0].group, variant="strong_tuned")
    assert choose_pairs([*groups, dataclasses.replace(groups[0], group=tuned)])[-1] == (2, 0)


def predictions(rows: list[int], correct: list[bool], confidence: float = 0.75) -> Predictions:
    n = len(rows)
    label = np.zeros(n, int)
    predicted = np.where(correct, 0, 1)
    filled = np.full(n, confidence)
    return Predictions(np.array(rows), np.zeros(n, int), label, predicted, filled, filled)


def test_calibration_is_confidence_less_accuracy() -> None:
    calibration = calibrate(predictions([0, 1, 2, 3], [True, True, False, False]))
    assert calibration.n == (4,)
    assert calibration.overconfidence == pytest.approx(0.25)
    assert calibration.error == pytest.approx(0.25)


def test_two_models_are_compared_on_the_utterances_of_both() -> None:
    first, second = predictions([3, 1, 2], [True] * 3), predictions([2, 5, 3], [False] * 3)
    first, second = in_common(first, second)
    assert first.rows.tolist() == second.rows.tolist() == [2, 3]


def test_seeds_of_a_fold_are_averaged(chain: Path) -> None:
    corpus: Corpus = open_corpus(chain / "packed")
    group = read_runs([chain / "runs"]).groups[0]
    doubled = dataclasses.replace(group, runs=(*group.runs, *group.runs))
    single, twice = (read_predictions(g, corpus, rows_by_id(corpus)) for g in (group, doubled))
    assert np.allclose(single.validation.truth, twice.validation.truth, atol=1e-6)
    assert len(find_runs([chain / "runs"])) == 4
