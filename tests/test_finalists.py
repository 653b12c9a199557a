"""The finals: paired with the variant's own values, and honest about what is selection."""

from pathlib import Path

import optuna
import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import DataError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.tuning.estimate import kept_share
from kaggle_hw4.tuning.finalists import Candidate, name_winner, write_winner
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Space
from kaggle_hw4.tuning.tune import enqueue_earlier_best
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny

OWN = Candidate(0, "boss", tiny("boss"), 0.50)
TUNED = Candidate(7, "boss_tuned", tiny("boss", "networks.d_model=24"), 0.60)
SCORES = {
    0: {(0, 0): 0.50, (0, 1): 0.52, (1, 0): 0.40, (1, 1): 0.42},
    7: {(0, 0): 0.60, (0, 1): 0.53, (1, 0): 0.43, (1, 1): 0.44},
}


@pytest.fixture
def plan(corpus: Corpus, folds: Folds, tmp_path: Path) -> Plan:
    goal = OBJECTIVES["session"]
    space = Space("boss.toml")
    return Plan(
        Workspace(tmp_path), "boss", OWN.recipe, space, goal, corpus, folds, "s", seeds=(0, 1)
    )


def test_the_lead_is_measured_where_the_search_never_looked(plan: Plan) -> None:
    first, second = name_winner(plan, [OWN, TUNED], SCORES)["candidates"]
    assert (first["trial"], second["trial"]) == (7, 0)
    assert first["mean"] == pytest.approx(0.50)
    assert first["search_lead"] == pytest.approx(0.10)
    assert first["final_lead"] == pytest.approx(0.02)
    assert (first["pairs"], first["error"]) == (3, pytest.approx(0.01 / 3**0.5))
    assert second["final_lead"] == 0


def test_less_log_loss_is_better(plan: Plan) -> None:
    less = Plan(**{**vars(plan), "objective": OBJECTIVES["logloss"]})
    first, second = name_winner(less, [OWN, TUNED], SCORES)["candidates"]
    assert (first["trial"], second["trial"]) == (0, 7)
    assert second["final_lead"] == pytest.approx(-0.02)


def test_the_winner_is_a_complete_variant_that_says_where_it_came_from(plan: Plan) -> None:
    finals = name_winner(plan, [OWN, TUNED], SCORES)
    path = write_winner(plan, optuna.create_study(), [OWN, TUNED], finals)
    assert path is not None
    assert read_recipe(Path(path)) == TUNED.recipe
    header = [line for line in Path(path).read_text().splitlines() if line.startswith("#")]
    for expected in ("trial 7", plan.corpus.hash, plan.folds.hash, "0.5000 ±", "4 runs"):
        assert expected in " ".join(header)
    assert plan.workspace.variant("boss_tuned") == Path(path)


def test_an_earlier_winner_is_asked_early_where_the_space_holds_it(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    class Watcher:
        def say(self, text: str) -> None:
            print(text)

    space = Space.load("boss.toml", {"networks.d_model": {"type": "int", "low": 8, "high": 24}})
    narrow = Space.load("boss.toml", {"networks.d_model": {"type": "int", "low": 8, "high": 16}})
    finals = name_winner(plan, [OWN, TUNED], SCORES)
    write_winner(plan, optuna.create_study(), [OWN, TUNED], finals)
    for searched, asked in ((space, [{"networks.d_model": 24}]), (narrow, [])):
        study = optuna.create_study()
        enqueue_earlier_best(Plan(**{**vars(plan), "space": searched}), study, Watcher())  # type: ignore[arg-type]
        assert [trial.system_attrs["fixed_params"] for trial in study.trials] == asked
    assert "the earlier best is left out" in capsys.readouterr().out


def test_own_values_that_win_are_not_written_again(plan: Plan) -> None:
    finals = name_winner(plan, [OWN, TUNED], {0: SCORES[7], 7: SCORES[0]})
    assert write_winner(plan, optuna.create_study(), [OWN, TUNED], finals) is None
    assert not (plan.workspace.root / "pipelines").exists()


def test_a_candidate_that_diverged_is_no_winner(plan: Plan) -> None:
    assert len(name_winner(plan, [OWN, TUNED], {0: SCORES[0]})["candidates"]) == 1
    with pytest.raises(DataError, match="own values do not train on every fold"):
        name_winner(plan, [OWN, TUNED], {7: SCORES[7]})


def test_pruning_keeps_a_share_of_the_steps() -> None:
    assert kept_share(90, 90) == 1
    # Two brackets, of 3 and 2 parts: one goes to the end, of the other a third does.
    assert kept_share(30, 90) == pytest.approx((3 * 5 / 9 + 2 * 1) / 5)
    assert 0.4 < kept_share(10, 90) < kept_share(30, 90) < 1
