"""Which differences are real, and which two to select."""

import csv
import math
from pathlib import Path

import pytest

from kaggle_hw4.competition import DEFAULT
from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.events import Created, Scored, Validation
from kaggle_hw4.kaggle.finals import best_of_two, choose
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.listing import read_listing
from kaggle_hw4.kaggle.noise import indistinguishable, labels, neighbours
from kaggle_hw4.kaggle.submissions import path_of
from kaggle_hw4.kaggle.sync import record
from kaggle_hw4.workspace import shipped


def board(folder: Path, **publics: float) -> Ledger:
    ledger = Ledger(folder)
    for version, public in publics.items():
        ledger.append(Scored(version=version, board="kaggle", public=public))
    return ledger


def write(folder: Path, version: str, right: int, rows: int = 8000) -> None:
    with path_of(folder, version).open("w", newline="") as file:
        named = ([f"u{i}", "a" if i < right else version] for i in range(rows))
        csv.writer(file).writerows([["Id", "Category"], *named])


def past(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    record(ledger, read_listing(shipped("examples/past_scores.csv")).rows, "test")
    return ledger


def test_of_the_five_past_scores_strong_over_boss_is_real(tmp_path: Path) -> None:
    differences = {
        (d.better, d.worse): d for d in labels(tmp_path, past(tmp_path).entries(), DEFAULT)
    }
    strong = differences["Strong_V1", "Boss_V3"]
    assert strong.difference == pytest.approx(0.0275)
    assert strong.clear
    assert not strong.paired


def test_of_the_five_past_scores_most_neighbours_are_noise(tmp_path: Path) -> None:
    differences = neighbours(tmp_path, past(tmp_path).entries(), DEFAULT)
    assert [d.clear for d in differences] == [True, False, False, False]
    assert all(d.halves == ("public", "private") for d in differences)


def test_two_files_make_a_difference_paired_and_sharper(tmp_path: Path) -> None:
    ledger = board(tmp_path, A_V1=0.80, B_V1=0.79)
    [alone] = neighbours(tmp_path, ledger.entries(), DEFAULT)
    for version in ("A_V1", "B_V1"):
        write(tmp_path, version, 7800)
    [together] = neighbours(tmp_path, ledger.entries(), DEFAULT)
    assert together.paired
    assert not alone.clear
    assert together.clear


@pytest.mark.parametrize(("rows", "blind"), [(0, True), (40, True), (400, False)])
def test_the_board_cannot_show_a_difference_in_a_few_rows(rows: int, blind: bool) -> None:
    assert indistinguishable(rows) == blind


def test_the_finals_are_the_best_and_among_equals_another_model(tmp_path: Path) -> None:
    proposal = choose(tmp_path, past(tmp_path).entries(), DEFAULT)
    assert [final.version for final in proposal.finals] == ["Strong_V1", "Boss_V3"]
    assert "another kind of model" in proposal.why[1]


def test_private_scores_do_not_change_the_choice(tmp_path: Path) -> None:
    ledger = past(tmp_path)
    before = choose(tmp_path, ledger.entries(), DEFAULT).finals
    ledger.append(Scored(version="Midium_V3.1", board="kaggle", private=0.99))
    after = choose(tmp_path, ledger.entries(), DEFAULT).finals
    assert [f.version for f in after] == [f.version for f in before]


def test_a_lucky_best_score_is_shrunk_towards_the_others(tmp_path: Path) -> None:
    proposal = choose(tmp_path, board(tmp_path, A_V1=0.80, B_V1=0.79, C_V1=0.79).entries(), DEFAULT)
    first = proposal.finals[0]
    assert 0.79 < first.expected < 0.80
    assert first.deviation > 0.006


def test_validation_with_a_record_can_overrule_a_lucky_public_score(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for n, (cv, public) in enumerate([(0.80, 0.75), (0.82, 0.77), (0.84, 0.79), (0.81, 0.793)]):
        validation = Validation(kind="session", accuracy=cv)
        ledger.append(Created(version=f"B_V{n}", cv=[validation]))
        ledger.append(Scored(version=f"B_V{n}", board="kaggle", public=public))
    proposal = choose(tmp_path, ledger.entries(), DEFAULT)
    expected = {c.version: c.expected for c in proposal.candidates}
    assert expected["B_V3"] < 0.793
    assert all(c.cv_counted for c in proposal.candidates)


def test_validation_that_was_always_right_counts_like_a_public_score(tmp_path: Path) -> None:
    """It says 0.80, the board 0.82; the others spread widely, and say little."""
    ledger = Ledger(tmp_path)
    for n, public in enumerate([0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90, 0.95]):
        validation = Validation(kind="session", accuracy=public + 0.05)
        ledger.append(Created(version=f"B_V{n}", cv=[validation]))
        ledger.append(Scored(version=f"B_V{n}", board="kaggle", public=public))
    ledger.append(Created(version="C_V1", cv=[Validation(kind="session", accuracy=0.85)]))
    ledger.append(Scored(version="C_V1", board="kaggle", public=0.82))
    candidates = {c.version: c for c in choose(tmp_path, ledger.entries(), DEFAULT).candidates}
    assert 0.807 < candidates["C_V1"].expected < 0.815
    one_score = math.sqrt(0.82 * 0.18 / DEFAULT.board_rows)
    assert one_score < candidates["C_V1"].deviation < math.sqrt(2) * one_score


def test_an_unpaired_difference_has_the_error_of_two_scores(tmp_path: Path) -> None:
    [both] = neighbours(tmp_path, board(tmp_path, A_V1=0.80, B_V1=0.70).entries(), DEFAULT)
    error = math.sqrt((0.80 * 0.20 + 0.70 * 0.30) / DEFAULT.board_rows)
    assert both.high - both.difference == pytest.approx(1.96 * error)
    assert both.difference - both.low == pytest.approx(1.96 * error)


def test_the_better_of_two_is_worth_more_than_either() -> None:
    assert best_of_two(0.8, 0.8, 0.01) == pytest.approx(0.8 + 0.01 * 0.39894)
    assert best_of_two(0.9, 0.5, 0.01) == pytest.approx(0.9)
    assert best_of_two(0.9, 0.5, 0.0) == 0.9
    one_apart = 0.81 * 0.84134 + 0.80 * 0.15866 + 0.01 * 0.24197  # Φ(1), Φ(-1) and φ(1)
    assert best_of_two(0.81, 0.80, 0.01) == pytest.approx(one_apart, abs=1e-7)


def test_one_submission_is_chosen_and_none_is_an_error(tmp_path: Path) -> None:
    assert len(choose(tmp_path, board(tmp_path, A_V1=0.8).entries(), DEFAULT).finals) == 1
    with pytest.raises(UsageError, match="no submission has a public score"):
        choose(tmp_path, [], DEFAULT)
