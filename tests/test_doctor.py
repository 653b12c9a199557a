"""`hw4 doctor` says what is there, what will be needed, and what to do."""

import json
import shutil
from pathlib import Path

import filelock
import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.doctor import Check, examine, needs
from kaggle_hw4.pipeline import read_pipeline
from kaggle_hw4.workspace import Workspace
from tests.conftest import job, tiny


@pytest.fixture
def workspace(corpus: Corpus, folds: Folds, tmp_path: Path) -> Workspace:
    shutil.copytree(corpus.folder, tmp_path / "packed")
    write_folds(tmp_path / "folds", folds, corpus)
    return Workspace(tmp_path)


def of(topic: str, checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.topic == topic]


def test_a_good_workspace_has_nothing_bad(workspace: Workspace) -> None:
    checks = examine(workspace, "kaggle")
    assert not [check for check in checks if check.state == "bad"]
    [corpus], [folds] = of("corpus", checks), of("folds", checks)
    assert corpus.finding.endswith("of no edition, as its hashes say")
    assert folds.finding == "session2: 2 folds by session"
    assert all(check.remedy for check in checks if check.state != "good")


def test_a_damaged_corpus_is_bad_and_the_exit_code_says_so(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace.corpus / "frames.bin").write_bytes(b"damaged")
    with pytest.raises(SystemExit) as end:
        main(["--workspace", str(workspace.root), "doctor", "--json"])
    assert end.value.code == 4
    [corpus] = [c for c in json.loads(capsys.readouterr().out) if c["topic"] == "corpus"]
    assert corpus["state"] == "bad"
    assert "has changed" in corpus["finding"]
    assert "hw4 data pack" in corpus["remedy"]


def test_an_unfinished_run_is_named_unless_it_is_being_trained(
    workspace: Workspace, corpus: Corpus, folds: Folds
) -> None:
    run = job(tiny("boss"), corpus, folds, workspace.runs).run
    run.folder.mkdir(parents=True)
    run.write_recipe(tiny("boss"))
    unfinished = of("runs", examine(workspace, "kaggle"))[-1]
    assert (unfinished.state, unfinished.finding) == ("warning", f"{run.name} is unfinished")
    with filelock.FileLock(run.folder / ".lock"):
        assert of("runs", examine(workspace, "kaggle"))[-1].finding.endswith("is being trained")


def test_the_needs_follow_the_pipeline_and_the_corpus(workspace: Workspace, tmp_path: Path) -> None:
    full, small = (
        needs(place, read_pipeline(place, "kaggle"))
        for place in (Workspace(tmp_path / "empty"), workspace)
    )
    assert 3.4e9 < full.disk < 50e9, "the packed corpus alone is 3.4 GB"
    assert small.disk < full.disk
    assert small.memory < full.memory


def test_a_credential_that_others_can_read_is_a_warning(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "home" / ".kaggle" / "access_token"
    token.parent.mkdir(parents=True)
    token.write_text("secret")
    token.chmod(0o644)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    [check] = of("kaggle", examine(workspace, "kaggle"))
    assert check.state == "warning"
    assert check.remedy == f"chmod 600 {token}"
    token.chmod(0o600)
    assert of("kaggle", examine(workspace, "kaggle"))[0].state == "good"
