"""Studies on a server are in the report where its address is given, and named where it is not."""

import shutil
from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import open_corpus
from kaggle_hw4.data.folds import find_folds
from kaggle_hw4.errors import UsageError
from kaggle_hw4.report.subject import find_subject
from kaggle_hw4.report.write import write_report
from kaggle_hw4.tuning.server import note_address, noted_address
from kaggle_hw4.workspace import Workspace
from tests.report_workspace import chain, study
from tests.test_cli import run
from tests.test_postgresql import server
from tests.test_report import sections

__all__ = ["chain", "server"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    return str(request.getfixturevalue("server").url)


@pytest.fixture
def place(chain: Path, tmp_path: Path, url: str) -> Workspace:
    """A workspace with the study boss in a file and the study far on a server."""
    root = Path(shutil.copytree(chain, tmp_path / "workspace"))
    workspace = Workspace.at(root)
    corpus = open_corpus(workspace.corpus)
    study(root, corpus, find_folds(workspace.folds, corpus, None), "far", url)
    note_address(workspace.studies / "far", url)
    return workspace


def test_a_study_on_a_server_is_shown_where_its_address_is_given(
    place: Workspace, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = noted_address(place.studies / "far")
    text = sections(write_report(place).path.read_text())["study"]
    assert "boss searches boss" in text
    assert "far searches" not in text
    assert f"the study far is on {address}; give that address" in text

    text = sections(write_report(place, storage=url).path.read_text())["study"]
    assert "boss searches boss" in text
    assert "far searches boss" in text
    assert "give that address" not in text

    options = ("--storage", url, "--workspace", place.root)
    assert run("report", "far", *options) == 0
    page = place.root.joinpath("report.html").read_text()
    assert list(sections(page)) == ["study"]
    assert "far searches boss" in page
    assert run("report", "further", *options) == 2
    assert "there is no study 'further' on" in capsys.readouterr().err


def test_without_the_address_the_study_is_no_unknown_one(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (("report", "far"), ("tune", "show", "far")):
        assert run(*command, "--workspace", place.root) == 2
        assert capsys.readouterr().err.startswith("hw4: --storage: the study far is on ")
    with pytest.raises(UsageError, match="boss, far"):
        find_subject(place, "near")


def test_no_password_is_kept(tmp_path: Path) -> None:
    note_address(tmp_path, "postgresql://me:secret1@host:5433/studies?password=secret2")
    assert noted_address(tmp_path) == "postgresql://me:***@host:5433/studies"
    assert noted_address(tmp_path / "nowhere") is None
