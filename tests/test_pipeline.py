"""A pipeline runs what is missing, and nothing twice."""

from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.pipeline import read_pipeline
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.workspace import Workspace, shipped
from tests.conftest import TINY

TRAIN = f"settings = {list(TINY)}"
PIPELINE = f"""
[data]
dataset = "corpus"
synth_speakers = 3
[split]
by = "session"
folds = 2
[[train]]
variant = "strong"
{TRAIN}
[[train]]
variant = "boss"
seeds = [0, 1]
{TRAIN}
[submit]
to = "local"
truth = "corpus/truth.csv"
"""


def stamps(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_pipeline_goes_from_nothing_to_a_score_and_then_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HW4_WORKSPACE", str(tmp_path))
    (tmp_path / "chain.toml").write_text(PIPELINE)
    main_ok("run", "chain.toml")
    [entry] = Ledger(tmp_path / "submissions").entries()
    assert entry.version == "Strong+Boss_V1"
    assert set(entry.scores) == {"local"}
    assert len(entry.created["members"]) == 3
    assert "Strong+Boss_V1 scored public" in capsys.readouterr().out
    before = stamps(tmp_path)
    main_ok("run", "chain.toml")
    assert stamps(tmp_path) == before
    next((tmp_path / "runs").glob("boss-*/fold1-seed1/run.json")).unlink()
    main_ok("run", "chain.toml")
    changed = {name for name, stamp in stamps(tmp_path).items() if before.get(name) != stamp}
    assert changed
    assert all("fold1-seed1" in name for name in changed), "the same bits need no new submission"


def main_ok(*arguments: str) -> None:
    try:
        main(list(arguments))
    except SystemExit as end:
        assert not end.code


@pytest.mark.parametrize("name", ["demo", "kaggle"])
def test_shipped_pipelines_name_variants_and_keys_that_exist(name: str) -> None:
    plan = read_pipeline(Workspace.at().pipeline(name))
    assert [part.variant for part in plan.train] == ["strong", "boss"]
    for part in plan.train:
        read_recipe(shipped(f"pipelines/variants/{part.variant}.toml"), part.settings)


def test_a_typo_in_a_pipeline_is_named(tmp_path: Path) -> None:
    path = tmp_path / "typo.toml"
    path.write_text(PIPELINE.replace("truth =", "truht ="))
    with pytest.raises(RecipeError, match="did you mean truth?"):
        read_pipeline(path)
