"""A pipeline runs what is missing, and nothing twice."""

import re
from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.errors import DataError, RecipeError
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.pipeline import read_pipeline
from kaggle_hw4.workspace import Workspace
from tests.conftest import TINY
from tests.kaggle_board import declare_edition

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
    assert len(entry.created.members) == 3
    printed = capsys.readouterr()
    assert "Strong+Boss_V1 scored public" in printed.out
    assert re.search(r"^ +report  .*report\.html$", printed.err, re.MULTILINE)
    assert "Why" in (page := (tmp_path / "report.html").read_text()) or "Is Boss better" in page
    before = stamps(tmp_path)
    main_ok("run", "chain.toml")
    assert stamps(tmp_path) == before
    next((tmp_path / "runs").glob("boss-*/fold1-seed1/run.json")).unlink()
    main_ok("run", "chain.toml")
    changed = {name for name, stamp in stamps(tmp_path).items() if before.get(name) != stamp}
    assert changed
    report = changed & {"report.html"}  # the run took another time
    assert all("fold1-seed1" in name for name in changed - report), "no new submission"


def main_ok(*arguments: str) -> None:
    try:
        main(list(arguments))
    except SystemExit as end:
        assert not end.code


@pytest.mark.parametrize(
    ("name", "variants"),
    [("demo", ["strong", "boss"]), ("kaggle", ["strong", "boss", "champion"])],
)
def test_shipped_pipelines_name_variants_and_keys_that_exist(
    name: str, variants: list[str]
) -> None:
    plan = read_pipeline(Workspace.at(), name)
    assert [part.variant for part in plan.train] == variants


def test_what_a_pipeline_leaves_open_is_seed_0_and_all_folds(tmp_path: Path) -> None:
    """As with `hw4 split` and `hw4 train`: the same table and the same runs."""
    (tmp_path / "chain.toml").write_text(PIPELINE)
    plan = read_pipeline(Workspace(tmp_path), "chain.toml")
    assert plan.split.seed == 0
    assert [(part.folds, part.seeds) for part in plan.train] == [("all", [0]), ("all", [0, 1])]
    assert plan.ensemble.label is None


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("truth =", "truht =", "did you mean truth?"),
        ("seeds = [0, 1]", "seeds = []", "train.1.seeds"),
        ("seeds = [0, 1]", "folds = [2]", "only folds 0 to 1"),
        ('variant = "boss"', 'variant = "bos"', "there is no variant 'bos'"),
        ("networks.d_model=16", "networks.d_modle=16", "did you mean d_model?"),
        ("folds = 2", "folds = 1", "split.folds"),
    ],
)
def test_a_mistake_in_a_pipeline_is_named_before_anything_runs(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in PIPELINE
    (tmp_path / "typo.toml").write_text(PIPELINE.replace(before, after))
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        read_pipeline(Workspace(tmp_path), "typo.toml")


def test_a_missing_truth_file_is_named_first(tmp_path: Path) -> None:
    (tmp_path / "chain.toml").write_text(PIPELINE.replace("synth_speakers = 3\n", ""))
    with pytest.raises(DataError, match=r"truth\.csv: the truth file of chain\.toml is missing"):
        read_pipeline(Workspace(tmp_path), "chain.toml")


def test_a_pipeline_to_the_web_waits_for_a_recorded_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HW4_WORKSPACE", str(tmp_path))
    local = 'to = "local"\ntruth = "corpus/truth.csv"'
    (tmp_path / "web.toml").write_text(PIPELINE.replace(local, 'to = "web"'))
    main_ok("data", "synth", str(tmp_path / "corpus"), "--speakers", "3")
    main_ok("data", "pack", str(tmp_path / "corpus"))
    declare_edition(tmp_path / "packed")
    for _ in range(2):
        main_ok("run", "web.toml")
        assert "is valid: upload" in capsys.readouterr().out
    assert [e.event for e in Ledger(tmp_path / "submissions").events()] == ["created"]
    main_ok("leaderboard", "record", "Strong+Boss_V1", "--public", "0.78")
    capsys.readouterr()
    main_ok("run", "web.toml")
    assert "scored public 0.78000 on Kaggle's board" in capsys.readouterr().out
