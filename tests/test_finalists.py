"""The finals: leads over the baseline are paired, and selection bias is kept apart."""

from pathlib import Path

import optuna
import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.errors import DataError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.tuning.estimate import trained_share
from kaggle_hw4.tuning.finalists import Finalist, group_of, retrain, specs_of
from kaggle_hw4.tuning.finals import name_winner, read_finals, write_finals, write_winner
from kaggle_hw4.tuning.objective import OBJECTIVES
from kaggle_hw4.tuning.plan import Plan
from kaggle_hw4.tuning.space import Int, Space
from kaggle_hw4.tuning.summary import final_runs
from kaggle_hw4.tuning.tune import enqueue_earlier_best
from kaggle_hw4.workspace import Workspace
from tests.conftest import tiny, trained
from tests.test_coordinator import TRAINED, TYPO, Processes, Said

BASELINE = Finalist(0, "boss", tiny("boss"), 0.50)
TUNED = Finalist(7, "boss_tuned", tiny("boss", "networks.d_model=24"), 0.60)
SCORES = {
    0: {(0, 0): 0.50, (0, 1): 0.52, (1, 0): 0.40, (1, 1): 0.42},
    7: {(0, 0): 0.60, (0, 1): 0.53, (1, 0): 0.43, (1, 1): 0.44},
}


@pytest.fixture
def plan(corpus: Corpus, folds: Folds, tmp_path: Path) -> Plan:
    target, space = OBJECTIVES["session"], Space("boss.toml")
    place, recipe = Workspace(tmp_path), BASELINE.recipe
    return Plan(place, "boss", recipe, space, target, corpus, folds, "s", seeds=(0, 1))


def test_the_final_lead_leaves_out_the_fold_and_seed_of_the_search(plan: Plan) -> None:
    first, second = name_winner(plan, [BASELINE, TUNED], SCORES).candidates
    assert (first.trial, second.trial) == (7, 0)
    assert first.mean == pytest.approx(0.50)
    assert first.search_lead == pytest.approx(0.10)
    assert first.final_lead == pytest.approx(0.02)
    assert (first.pairs, first.standard_error) == (3, pytest.approx(0.01 / 3**0.5))
    assert second.final_lead == 0


def test_one_fold_and_seed_have_no_deviation_and_no_lead_beyond_the_search(plan: Plan) -> None:
    single = {trial: {(0, 0): scores[0, 0]} for trial, scores in SCORES.items()}
    first, _ = name_winner(plan, [BASELINE, TUNED], single).candidates
    assert (first.n, first.mean, first.deviation) == (1, 0.60, 0.0)
    assert (first.final_lead, first.standard_error, first.pairs) == (None, None, 0)


def processes(failing: int = 9) -> Processes:
    """Eight runs that are not trained: the one with number `failing` diverges."""
    return Processes([TYPO if n == failing else TRAINED for n in range(8)])


def test_finalists_are_trained_on_all_folds_and_seeds_and_counted(plan: Plan) -> None:
    monitor = Said()
    scores = retrain(plan, [BASELINE, TUNED], monitor, processes())
    pairs = [(fold, seed) for seed in (0, 1) for fold in (0, 1)]
    assert scores == {trial: dict.fromkeys(pairs, 0.5) for trial in (0, 7)}
    assert monitor.counts == [(done, 8) for done in range(9)]
    assert monitor.lines == []


def test_a_finalist_that_diverges_on_a_fold_drops_out(plan: Plan) -> None:
    monitor = Said()
    assert list(retrain(plan, [BASELINE, TUNED], monitor, processes(failing=5))) == [0]
    assert monitor.lines == ["trial 7, fold 1, seed 0: so it ended"]
    assert monitor.counts[-1] == (8, 8)


def test_less_log_loss_is_better(plan: Plan) -> None:
    less = Plan(**{**vars(plan), "objective": OBJECTIVES["logloss"]})
    first, second = name_winner(less, [BASELINE, TUNED], SCORES).candidates
    assert (first.trial, second.trial) == (0, 7)
    assert second.final_lead == pytest.approx(-0.02)


def test_the_winner_is_a_complete_variant_with_its_provenance(plan: Plan) -> None:
    finals = name_winner(plan, [BASELINE, TUNED], SCORES)
    path = write_winner(plan, 9, [BASELINE, TUNED], finals)
    assert path is not None
    assert read_recipe(Path(path)) == TUNED.recipe
    header = [line for line in Path(path).read_text().splitlines() if line.startswith("#")]
    for expected in ("trial 7", plan.corpus.hash, plan.folds.hash, "0.5000 ±", "4 runs"):
        assert expected in " ".join(header)
    assert plan.workspace.variant("boss_tuned") == Path(path)


def test_an_earlier_winner_is_enqueued_where_the_space_contains_it(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    class Monitor:
        def say(self, text: str) -> None:
            print(text)

    space = Space("boss.toml", {"networks.d_model": Int(type="int", low=8, high=24)})
    narrow = Space("boss.toml", {"networks.d_model": Int(type="int", low=8, high=16)})
    finals = name_winner(plan, [BASELINE, TUNED], SCORES)
    write_winner(plan, 9, [BASELINE, TUNED], finals)
    for searched, enqueued in ((space, [{"networks.d_model": 24}]), (narrow, [])):
        study = optuna.create_study()
        enqueue_earlier_best(Plan(**{**vars(plan), "space": searched}), study, Monitor())  # type: ignore[arg-type]
        assert [trial.system_attrs["fixed_params"] for trial in study.trials] == enqueued
    assert "the earlier best is left out" in capsys.readouterr().out


def test_a_baseline_that_wins_is_not_written_again(plan: Plan) -> None:
    finals = name_winner(plan, [BASELINE, TUNED], {0: SCORES[7], 7: SCORES[0]})
    assert write_winner(plan, 9, [BASELINE, TUNED], finals) is None
    assert not (plan.workspace.root / "pipelines").exists()


def test_a_candidate_that_diverged_is_no_winner(plan: Plan) -> None:
    assert len(name_winner(plan, [BASELINE, TUNED], {0: SCORES[0]}).candidates) == 1
    with pytest.raises(DataError, match="the baseline does not train on every fold"):
        name_winner(plan, [BASELINE, TUNED], {7: SCORES[7]})


def test_the_finals_are_read_from_the_study_as_they_were_written(plan: Plan) -> None:
    study = optuna.create_study()
    assert read_finals(study) is None
    finals = name_winner(plan, [BASELINE, TUNED], SCORES)
    write_finals(study, finals)
    assert read_finals(study) == finals


def test_finals_lie_in_the_study_unless_the_workspace_has_all_of_them(plan: Plan) -> None:
    parts = (BASELINE.recipe, plan.corpus, plan.folds, plan.workspace.runs)
    for fold, seed in SCORES[0]:
        assert {spec.runs for spec in specs_of(plan, BASELINE)} == {str(plan.runs)}
        run = trained(*parts, fold=fold, seed=seed)
    assert {spec.runs for spec in specs_of(plan, BASELINE)} == {str(plan.workspace.runs)}
    assert {spec.runs for spec in specs_of(plan, TUNED)} == {str(plan.runs)}
    assert group_of(plan, BASELINE) == run.folder.parent.name
    (plan.runs / group_of(plan, BASELINE)).mkdir(parents=True)
    assert {spec.runs for spec in specs_of(plan, BASELINE)} == {str(plan.runs)}, "begun there"
    (plan.runs / group_of(plan, BASELINE)).rmdir()
    manifest = run.manifest()
    other = manifest.prediction.config.model_copy(update={"segments": 7})
    prediction = manifest.prediction.model_copy(update={"config": other})
    run.write_manifest(manifest.model_copy(update={"prediction": prediction}))
    assert {spec.runs for spec in specs_of(plan, BASELINE)} == {str(plan.runs)}, "other averaging"


def test_the_folders_of_finalists_are_those_that_are_on_this_machine(plan: Plan) -> None:
    finals = name_winner(plan, [BASELINE, TUNED], SCORES)
    assert final_runs(finals, plan.folder) == {}
    baseline, tuned = (group_of(plan, each) for each in (BASELINE, TUNED))
    (plan.workspace.runs / baseline).mkdir(parents=True)
    (plan.runs / tuned).mkdir(parents=True)
    folders = {7: plan.runs / tuned, 0: plan.workspace.runs / baseline}
    assert final_runs(finals, plan.folder) == folders
    renamed = plan.folder.rename(plan.folder.with_name("renamed"))
    assert final_runs(finals, renamed)[7] == renamed / "runs" / tuned


def test_pruning_keeps_a_share_of_the_steps() -> None:
    assert trained_share(90, 90) == 1
    # Two brackets, of 3 and 2 parts: one goes to the end, of the other a third does.
    assert trained_share(30, 90) == pytest.approx((3 * 5 / 9 + 2 * 1) / 5)
    assert 0.4 < trained_share(10, 90) < trained_share(30, 90) < 1
