"""A command with a time limit: what is chosen for it, kept, shared among its runs and counted."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.execution.choice import (
    EPOCHS,
    FEWEST,
    NETWORKS,
    VALIDATIONS,
    choose_networks,
    choose_steps,
    fewest_seconds,
    settings_of,
)
from kaggle_hw4.execution.time_limit import (
    Budget,
    Deadline,
    TimeLimit,
    equal_time,
    read_time_limit,
)
from kaggle_hw4.project import Project
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Run, find_runs
from kaggle_hw4.stages import estimate
from kaggle_hw4.stages.train import TimeGiven
from kaggle_hw4.training.measure import Cost
from kaggle_hw4.tuning.estimate import startup_seconds
from kaggle_hw4.workspace import shipped
from tests.conftest import VARIANTS, manifest_of, tiny
from tests.test_cli import SETTINGS, run
from tests.test_cli import workspace as workspace  # the fixture
from tests.test_pipeline import stamps

COST = Cost(step=0.1, validation=2.0, prediction=10.0, memory=10**9)
UTTERANCES = 6400
LIMITED = ("train", "boss", "--folds", "all", *SETTINGS, "--time-limit")


def test_networks_are_more_only_where_each_still_has_its_epochs() -> None:
    recipe = read_recipe(shipped("pipelines/variants/boss.toml"))
    epoch = UTTERANCES // recipe.segments.batch_size
    seconds = EPOCHS * epoch * COST.step + COST.prediction + COST.validation + 1
    counts = [
        choose_networks(n * seconds, COST, UTTERANCES, recipe) for n in (0.5, 1, 1.9, 2, 2.9, 3, 9)
    ]
    assert counts == [1, 1, 1, 2, 2, NETWORKS, NETWORKS]


def test_validations_are_a_small_share_of_the_time_and_one_is_at_the_end() -> None:
    recipe = read_recipe(shipped("pipelines/variants/boss.toml"))
    for seconds in (20, 60, 600, 6000, 60_000):
        choice = choose_steps(seconds, COST, recipe, 1)
        took = choice.steps * COST.step + COST.prediction
        validations = -(-choice.steps // choice.validate_every)
        assert seconds - 2 * COST.validation < took + validations * COST.validation <= seconds
        assert validations == 1 or validations * COST.validation <= VALIDATIONS * seconds
        assert validations <= 30, "those of the recipe"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seconds", [30, 600, 100_000])
def test_every_count_of_steps_is_in_proportion(variant: str, seconds: int) -> None:
    path = shipped(f"pipelines/variants/{variant}.toml")
    base = read_recipe(path, ["large_margin_fine_tuning.steps=6000"])
    choice = choose_steps(seconds, COST, base, networks=2)
    chosen = read_recipe(path, ["large_margin_fine_tuning.steps=6000", *settings_of(base, choice)])
    share = chosen.schedule.steps / base.schedule.steps
    assert chosen.schedule.steps == choice.steps
    assert chosen.schedule.warmup_steps <= chosen.schedule.steps / 10 + 1
    tuning = chosen.large_margin_fine_tuning.steps
    assert tuning == pytest.approx(share * base.large_margin_fine_tuning.steps, abs=1)
    margin = chosen.loss.margin_warmup_steps
    assert margin == pytest.approx(share * base.loss.margin_warmup_steps, abs=1)
    assert {config.count for config in chosen.networks} == {2}


def test_a_time_for_hardly_any_step_is_seen() -> None:
    recipe = tiny("boss")
    least = fewest_seconds(COST)
    assert choose_steps(least, COST, recipe, 1).steps == FEWEST
    assert choose_steps(5.0, COST, recipe, 1).steps == 0


def limit_of(seconds: float, **fields: float) -> TimeLimit:
    return TimeLimit(seconds=seconds, corpus="c", folds="f", parts=(), made_by={}, **fields)


def test_the_time_is_shared_among_the_runs_that_are_left(tmp_path: Path) -> None:
    runs = [Run(tmp_path / "boss-1" / f"fold{k}-seed0") for k in range(3)]
    costs = [(run, COST) for run in runs]
    budget = Budget(tmp_path / "x.json", limit_of(1000, used=400), costs, time.monotonic())
    left = budget.left
    assert 550 < left < 600
    assert budget.of(runs[0]).left(0.0) == pytest.approx(left / 3, abs=1)
    # 100 s of what was used are the first run's own: it gets as much in all as the other two.
    assert budget.of(runs[0]).left(100.0) == pytest.approx((left + 100) / 3 - 100, abs=1)
    runs[0].folder.mkdir(parents=True)
    runs[0].write_manifest(manifest_of({}))
    assert budget.of(runs[1]).left(0.0) == pytest.approx(left / 2, abs=1)


def test_the_time_used_is_noted_also_of_a_command_that_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "limits" / "boss.json"
    budget = Budget(path, limit_of(1000, used=400), (), time.monotonic() - 5)
    with pytest.raises(KeyboardInterrupt), budget.counting():
        raise KeyboardInterrupt
    assert read_time_limit(path).used == pytest.approx(405, abs=1)
    path.write_text('{"format": 9}')
    with pytest.raises(DataError, match="not a time limit.*delete it"):
        read_time_limit(path)


def test_a_command_is_done_in_its_time_and_keeps_what_it_has_chosen(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    begin = time.monotonic()
    assert run(*LIMITED, "12s") == 0
    assert time.monotonic() - begin == pytest.approx(11, abs=2)
    text = capsys.readouterr().err
    assert "boss: 2 runs with schedule.steps=" in text
    assert "; done by " in text
    first, second = find_runs([workspace / "runs"])
    assert first.manifest().recipe == second.manifest().recipe
    assert min(each.manifest().steps for each in (first, second)) > 20
    # The same command chooses no more, also when a run has to be trained anew.
    monkeypatch.setattr(estimate, "measure", lambda *_: pytest.fail("measured again"))
    (second.folder / "run.json").unlink()
    assert run(*LIMITED, "12s") == 0
    assert len(find_runs([workspace / "runs"])) == 2
    [path] = (workspace / "time_limits").iterdir()
    assert path.name.startswith("boss-")
    assert read_time_limit(path).used > 11


@pytest.mark.parametrize(
    ("free", "runs", "each"),
    [
        ([100, 100], 5, 100 / 3),  # three rounds
        ([2 / 3 * 100, 100], 4, 100 / 3),  # the second run of the first round
        ([2 / 3 * 100, 2 / 3 * 100 - 0.1], 3, 100 / 3),  # one is about to end
        ([50, 49.9], 2, 49.9),
        ([100, 10], 1, 100),
        ([-3, -5], 2, 0),
    ],
)
def test_the_runs_that_are_left_have_equal_times(free: list[float], runs: int, each: float) -> None:
    assert equal_time(free, runs) == pytest.approx(each)


def test_a_deadline_leaves_the_others_as_much_time(tmp_path: Path) -> None:
    runs = [Run(tmp_path / "boss-1" / f"fold{k}-seed0") for k in range(3)]
    budget = Budget(
        tmp_path / "x.json", limit_of(1000), [(run, COST) for run in runs], time.monotonic()
    )
    first = budget.deadline(runs[0], {}, 2)
    assert first.left(0.0) == pytest.approx(budget.left / 2, abs=1)
    second = budget.deadline(runs[1], {runs[0]: first.at}, 2)
    assert second.at == pytest.approx(first.at, abs=1)
    runs[0].folder.mkdir(parents=True)
    runs[0].write_manifest(manifest_of({}))  # before its deadline: the third has all that is left
    third = budget.deadline(runs[2], {runs[1]: second.at}, 2)
    assert third.left(0.0) == pytest.approx(budget.left, abs=1)
    assert Deadline.model_validate_json(third.model_dump_json()) == third


def test_runs_in_processes_of_their_own_are_done_in_the_time_and_chosen_for_once(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    startup = startup_seconds()  # of a process: much longer on a busy machine
    seconds = round(12 + 6 * startup)
    words = (*LIMITED, f"{seconds}s", "--on", "local", "--jobs", "2")
    begin = time.monotonic()
    assert run(*words) == 0
    assert seconds / 2 < time.monotonic() - begin < seconds + 1 + startup
    assert "boss: 2 runs with schedule.steps=" in capsys.readouterr().err
    runs = find_runs([workspace / "runs"])
    assert len({each.manifest().recipe for each in runs}) == 1
    assert min(each.manifest().steps for each in runs) > 20
    # The same command chooses no more, also when a run has to be trained anew.
    monkeypatch.setattr(estimate, "measure_together", lambda *_: pytest.fail("measured again"))
    (runs[0].folder / "run.json").unlink()
    assert run(*words) == 0
    assert len(find_runs([workspace / "runs"])) == 2


def test_a_dry_run_counts_the_runs_at_a_time(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    before = stamps(workspace)
    capsys.readouterr()
    assert run(*LIMITED[:-1], "--dry-run", "--on", "local", "--jobs", "2", "--json") == 0
    cost = json.loads(capsys.readouterr().out)
    first, second = (each["seconds"] for each in cost["runs"])
    assert max(first, second) < cost["seconds"] < 60
    assert cost["jobs"] == 2
    assert stamps(workspace) == before


def test_a_time_that_is_too_short_is_refused_with_what_is_needed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    assert run(*LIMITED, "1s") == 2
    assert run(*LIMITED, "soon") == 2
    lines = capsys.readouterr().err.splitlines()
    assert "--time-limit: 1s is too short for 2 runs and the predictions; give 10s" in lines[-2]
    assert "'soon' is no duration; write 90s, 90m, 11h or 1h30m" in lines[-1]


@pytest.mark.parametrize("limit", [(), ("--time-limit", "60m")])
def test_a_dry_run_says_what_each_run_takes_and_writes_nothing(
    workspace: Path, capsys: pytest.CaptureFixture[str], limit: tuple[str, ...]
) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    before = stamps(workspace)
    capsys.readouterr()
    assert run(*LIMITED[:-1], "--dry-run", *limit, "--json") == 0
    cost = json.loads(capsys.readouterr().out)
    assert stamps(workspace) == before
    assert len(cost["runs"]) == 2
    for key in ("seconds", "disk"):
        assert cost[key] == pytest.approx(sum(each[key] for each in cost["runs"]))
    assert cost["memory"] == cost["runs"][0]["memory"] > 10**6
    assert cost["limit"] == (3600 if limit else None)
    if limit:
        assert 3000 < cost["seconds"] < 3600
    assert run(*LIMITED[:-1], "--dry-run", *limit) == 0
    assert "fold1-seed0" in capsys.readouterr().out


def test_from_python_a_time_limit_is_a_duration_too(workspace: Path) -> None:
    assert run("split", "--folds", "2", "--by", "session") == 0
    settings = [part for part in SETTINGS if part != "-s"]
    [only] = Project(workspace).train("strong", settings, time_limit="6s")
    assert only.manifest.steps > 20
    [there] = Project(workspace).train("strong", settings, on="local", jobs=2)
    assert (there.run.folder / "worker.log").is_file()
    with pytest.raises(UsageError, match="how fast a training on ray is"):
        Project(workspace).train("strong", settings, time_limit="6s", on="ray")


@pytest.mark.parametrize(("busy", "slowdown"), [(4.0, 1.0), (1.0, 2.0), (0.0, 5.0), (1e9, 1.0)])
def test_a_report_has_more_time_beside_other_work(busy: float, slowdown: float) -> None:
    began, processor = time.monotonic() - 2, time.process_time() - busy
    given = TimeGiven(180, began, 0, processor)
    assert given.slowdown == pytest.approx(slowdown, rel=0.05)
    assert given.keeping(5).after == pytest.approx(5 * slowdown, rel=0.05)
    assert replace(given, seconds=20).keeping(5).after == 5, "of a short time no more than a fifth"


def test_a_pipeline_is_done_in_its_time_report_included(
    workspace: Path, synthetic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for part in SETTINGS if part != "-s"]
    (workspace / "chain.toml").write_text(
        f'[data]\ndataset = "{synthetic}/Dataset"\n[split]\nby = "session"\nfolds = 2\n'
        f'[[train]]\nvariant = "strong"\nsettings = {settings}\n[submit]\nto = "web"\n'
    )
    with pytest.raises(SystemExit) as end:
        main(["run", "chain.toml", "--dry-run"])
    assert end.value.code == 4, "no folds yet"
    begin = time.monotonic()
    assert run("run", "chain.toml", "--time-limit", "20s") == 0
    assert time.monotonic() - begin < 21
    assert (workspace / "report.html").is_file()
    capsys.readouterr()
    assert run("run", "chain.toml", "--dry-run", "--time-limit", "20s") == 0
    assert "finished" in capsys.readouterr().out
