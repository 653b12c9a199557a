"""How validation has tracked the board, and the score to expect."""

import math
from pathlib import Path

import numpy as np
import pytest

from kaggle_hw4.competition import DEFAULT, edition_named
from kaggle_hw4.kaggle.events import Created, Scored, Validation
from kaggle_hw4.kaggle.forecast import forecast, next_goal, spearman, tracking
from kaggle_hw4.kaggle.ledger import Entry, Ledger


def entries(folder: Path, pairs: list[tuple[float, float]], kind: str = "session") -> list[Entry]:
    ledger = Ledger(folder)
    for n, (cv, public) in enumerate(pairs):
        ledger.append(Created(version=f"B_V{n}", cv=validated(cv, kind)))
        score = {"public": public, "private": public - 0.01}
        ledger.append(Scored(version=f"B_V{n}", board="kaggle", **score))
    return ledger.entries()


def validated(cv: float, kind: str = "session") -> list[Validation]:
    return [Validation(kind=kind, accuracy=cv)]


EVEN = [(0.80 + 0.01 * n, 0.75 + 0.01 * n) for n in range(6)]


def test_a_constant_gap_is_measured_for_each_half(tmp_path: Path) -> None:
    public, private, *_ = tracking(entries(tmp_path, EVEN))
    assert (public.kind, public.half, public.n) == ("session", "public", 6)
    assert public.gap.value == pytest.approx(0.05)
    assert private.gap.value == pytest.approx(0.06)
    assert public.spearman.value == pytest.approx(1)
    assert 0.9 < public.spearman.low < 1, "six pairs in one order are no proof"


def test_the_interval_of_a_gap_is_students_t(tmp_path: Path) -> None:
    pairs = [(0.80 + gap, 0.80) for gap in (0.04, 0.05, 0.05, 0.05, 0.06)]
    gap = tracking(entries(tmp_path, pairs))[0].gap
    assert gap.value == pytest.approx(0.05)
    half_width = 2.7764 * 0.0070711 / math.sqrt(5)  # t of four degrees, the standard deviation
    assert gap.high - gap.value == pytest.approx(half_width, rel=1e-4)
    assert gap.value - gap.low == pytest.approx(half_width, rel=1e-4)


def test_too_few_pairs_have_no_gap_and_no_correlation(tmp_path: Path) -> None:
    rows = tracking(entries(tmp_path, EVEN[:4]))
    assert [(t.n, t.gap, t.spearman) for t in rows[:2]] == [(4, None, None)] * 2
    assert [t.n for t in rows[2:]] == [0, 0], "none by utterance"


def test_a_rank_correlation_has_a_wide_interval_when_few() -> None:
    rank = spearman([(0.67, 0.6), (0.92, 0.79), (0.93, 0.84), (0.94, 0.88), (0.95, 0.83)])
    assert rank.value == pytest.approx(0.7)
    assert rank.low < 0 < rank.high < 1
    assert spearman([(0.5, 0.4)] * 5) is None


def test_a_forecast_uses_ones_own_gap_and_is_no_sharper_than_the_board(tmp_path: Path) -> None:
    expected = forecast(entries(tmp_path, EVEN), validated(0.90), DEFAULT)
    assert expected.public == pytest.approx(0.85)
    assert expected.high - expected.low > 4 * 0.0054, "the board's own noise at the least"
    assert expected.goal == "Boss"
    assert expected.based_on == "the gaps of your 6 scored submissions"
    assert 0 < expected.chance < 0.5, "0.85 is below Boss's 0.865"


def test_without_a_history_only_validation_by_utterance_has_a_forecast(tmp_path: Path) -> None:
    expected = forecast([], validated(0.94, "utterance"), DEFAULT)
    assert "5 public solutions" in expected.based_on
    assert 0.8 < expected.public < 0.9
    assert forecast([], validated(0.94, "session"), DEFAULT) is None
    assert forecast([], [], DEFAULT) is None


def test_forecast_intervals_have_their_coverage(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for n in range(60):
        gaps = random.normal(0.05, 0.02, 5)
        known = entries(tmp_path / str(n), [(0.85, 0.85 - gap) for gap in gaps[:4]])
        expected = forecast(known, validated(0.9), DEFAULT)
        covered += expected.low <= 0.9 - gaps[4] <= expected.high
    assert covered >= 52


def test_the_goal_is_the_next_baseline_then_ones_own_best(tmp_path: Path) -> None:
    assert next_goal([], DEFAULT) == ("Simple", 0.60824)
    assert next_goal(entries(tmp_path / "a", [(0.9, 0.788)]), DEFAULT) == ("Boss", 0.865)
    assert next_goal(entries(tmp_path / "b", [(0.9, 0.88)]), DEFAULT) == ("your best", 0.88)


def test_each_edition_has_baselines_and_public_solutions_of_its_own() -> None:
    newer = edition_named(2023)
    assert next_goal([], newer) == ("Simple", 0.66025)
    assert forecast([], validated(0.94, "utterance"), newer) is None, "no public solutions known"
    assert forecast([], validated(0.94, "utterance"), None) is None, "no edition"
