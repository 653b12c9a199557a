"""Which edition of the competition a workspace is about, and what the board then shows."""

import json
import shutil
from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.cli.submissions import after, submitted
from kaggle_hw4.competition import DEFAULT, EDITIONS, edition_of
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.manifest import MANIFEST
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.submissions import write_submission
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.stages.submit import submit
from kaggle_hw4.workspace import Workspace
from tests.conftest import imports
from tests.kaggle_board import declare_edition


@pytest.fixture
def packed(corpus: Corpus, tmp_path: Path) -> Path:
    """The synthetic corpus, packed in the workspace tmp_path."""
    return Path(shutil.copytree(corpus.folder, tmp_path / "packed"))


def leaderboard(workspace: Path, *command: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--workspace", str(workspace), "leaderboard", *command])
    assert not end.value.code


def test_without_a_corpus_the_default_edition_holds(tmp_path: Path) -> None:
    assert edition_of_workspace(Workspace(tmp_path)) == DEFAULT


def test_a_packed_corpus_says_which_edition_it_is(packed: Path, tmp_path: Path) -> None:
    assert edition_of_workspace(Workspace(tmp_path)) is None
    for edition in EDITIONS:
        declare_edition(packed, edition.year)
        assert edition_of_workspace(Workspace(tmp_path)) == edition


def test_a_damaged_corpus_is_refused(tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    with pytest.raises(DataError, match="hw4 data pack"):
        edition_of_workspace(Workspace(tmp_path))
    (tmp_path / "packed" / MANIFEST).write_text("[")
    with pytest.raises(DataError, match="not the manifest of a corpus"):
        edition_of_workspace(Workspace(tmp_path))


def test_an_edition_is_known_by_the_names_or_the_sizes_of_its_test_set() -> None:
    names = [f"uttr-{n}.pt" for n in range(6000)]
    assert edition_of(names, 69_438) == EDITIONS[0], "2021's names are unknown, its sizes are not"
    assert edition_of(names, 69_437) is None


def test_a_corpus_of_no_edition_has_no_baselines_and_no_forecast(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaderboard(tmp_path, "import", "examples/past_scores.csv")
    capsys.readouterr()
    leaderboard(tmp_path, "show")
    shown = capsys.readouterr().out
    assert "this corpus is no edition of the competition: no baselines, no forecast\n" in shown
    assert "Strong_V1" in shown
    assert "baseline " not in shown
    leaderboard(tmp_path, "show", "--json")
    value = json.loads(capsys.readouterr().out)
    assert (value["edition"], value["baselines"], value["forecasts"]) == (None, {}, {})


def test_an_edition_without_known_baselines_says_so_in_one_line(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare_edition(packed, 2021)
    leaderboard(tmp_path, "show")
    assert capsys.readouterr().out == "the baselines of 2021 are not known\n"


def test_showing_the_board_needs_no_torch(packed: Path, tmp_path: Path) -> None:
    command = ["--workspace", str(tmp_path), "leaderboard", "show"]
    assert imports(command, {"torch", "pandas", "sklearn", "optuna"}) == "[]"


def test_a_submission_of_no_edition_has_no_page_to_be_uploaded_at(
    corpus: Corpus, packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [corpus.ids[row] for row in corpus.test]
    write_submission(tmp_path / "submissions", "Boss", ids, [corpus.speakers[0]] * len(ids))
    outcome = submit(Workspace(tmp_path), "Boss_V1", "web")
    assert (outcome.page, outcome.board, outcome.forecast) == (None, None, None)
    assert submitted(outcome) == (
        "Boss_V1 is valid; this corpus is no edition of the competition, "
        "so there is no page to upload it"
    )
    assert not after(outcome)
    declare_edition(packed)
    page = submit(Workspace(tmp_path), "Boss_V1", "web").page
    assert page == "https://www.kaggle.com/competitions/ml2022spring-hw4/submissions"
