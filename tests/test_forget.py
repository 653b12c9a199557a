"""A score or an imported row is taken off the board by an event like any other."""

from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.events import Created, Failed, Scored, Submitted, Validation
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.stages.board import choose_finals, forget, import_scores, read_board, record_score
from kaggle_hw4.workspace import Workspace, shipped

EXAMPLE = shipped("examples/past_scores.csv")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With a submission made here that was never sent, called as one of the examples."""
    cv = [Validation(kind="utterance", accuracy=0.93)]
    created = Created(version="Strong_V1", label="Strong", sha256="ab" * 32, cv=cv)
    Ledger(tmp_path / "submissions").append(created)
    return Workspace(tmp_path)


def hw4(workspace: Workspace, *command: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(["--workspace", str(workspace.root), "leaderboard", *command])
    return int(end.value.code or 0)


def test_the_example_gives_a_submission_of_its_name_neither_score_nor_final(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hw4(workspace, "import", str(EXAMPLE)) == 0
    assert "kept as Strong_V1 (imported)" in capsys.readouterr().out
    scores = {row.version: row.public for row in read_board(workspace).submissions}
    assert (scores["Strong_V1"], scores["Strong_V1 (imported)"]) == (None, 0.78825)
    finals = [final.version for final in choose_finals(workspace).finals]
    assert "Strong_V1" not in finals
    assert "Strong_V1" in read_board(workspace).forecasts


def test_an_imported_row_is_gone_and_comes_back_with_its_list(workspace: Workspace) -> None:
    import_scores(workspace, EXAMPLE)
    before = {row.version: row.public for row in read_board(workspace).submissions}
    forgotten = forget(workspace, "Boss_V3", "kaggle")
    assert (forgotten.public, forgotten.private) == (0.75775, 0.75825)
    assert "Boss_V3" not in {row.version for row in read_board(workspace).submissions}
    import_scores(workspace, EXAMPLE)
    assert {row.version: row.public for row in read_board(workspace).submissions} == before


def test_what_was_made_here_stays_and_counts_as_never_sent(workspace: Workspace) -> None:
    ledger = Ledger(workspace.submissions)
    ledger.append(Submitted(version="Strong_V1", to="kaggle", ref="7"))
    ledger.append(Scored(version="Strong_V1", board="local", public=0.5))
    record_score(workspace, "Strong_V1", 0.78825, 0.78275)
    forget(workspace, "output_Strong_V1.csv", "kaggle")
    [entry] = ledger.entries()
    assert (entry.sent, entry.submissions, entry.score("public")) == (False, (), None)
    assert entry.created is not None
    assert entry.scores["local"].public == 0.5
    forget(workspace, "Strong_V1", "local")
    assert not ledger.entries()[0].scores
    import_scores(workspace, EXAMPLE)
    assert ledger.entries()[0].score("public") is None


def test_the_command_says_what_it_took_away_and_the_ledger_stays_sealed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    hw4(workspace, "import", str(EXAMPLE))
    capsys.readouterr()
    assert hw4(workspace, "forget", "Boss_V2") == 0
    taken = "Boss_V2 is taken off Kaggle's board: public 0.75075, private 0.74800\n"
    assert capsys.readouterr().out == taken
    assert hw4(workspace, "forget", "Boss_V2") == 2
    assert "Boss_V2 was forgotten already (20" in capsys.readouterr().err
    ledger = Ledger(workspace.submissions)
    assert ledger.problems() == []
    assert ledger.events()[-1].event == "forgotten"
    lines = ledger.path.read_text().replace("0.75075", "0.79075")
    ledger.path.write_text(lines)
    assert len(ledger.problems()) == 2, "the row, and that it was forgotten"


@pytest.mark.parametrize(
    ("version", "board", "problem"),
    [
        ("Strong_V1", "kaggle", "Strong_V1 is not on the kaggle board: neither sent nor scored"),
        ("Boss_V9", "kaggle", "there is no submission 'Boss_V9'; known: Strong_V1"),
        ("Strong_V1", "wall", "no board 'wall'; the boards are kaggle, local"),
    ],
)
def test_what_is_not_on_the_board_cannot_be_forgotten(
    workspace: Workspace, version: str, board: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem.replace("(", r"\(")):
        forget(workspace, version, board)
    assert len(Ledger(workspace.submissions).events()) == 1


def test_a_submission_that_the_board_could_not_score_is_forgotten_too(workspace: Workspace) -> None:
    ledger = Ledger(workspace.submissions)
    ledger.append(Failed(version="Strong_V1", reason="no such id"))
    assert ledger.entries()[0].sent
    assert forget(workspace, "Strong_V1", "kaggle").public is None
    assert not ledger.entries()[0].sent


def test_a_version_that_was_forgotten_is_not_used_again(workspace: Workspace) -> None:
    from kaggle_hw4.kaggle.submissions import write_submission

    import_scores(workspace, EXAMPLE)
    forget(workspace, "Boss_V3", "kaggle")
    written = write_submission(workspace.submissions, "Boss", ["a"], ["b"])
    assert written.version == "Boss_V4"


def test_a_score_that_is_known_is_recorded_once(workspace: Workspace) -> None:
    for _ in range(2):
        recorded = record_score(workspace, "Strong_V1", 0.78825, None)
    assert (recorded.scored.public, recorded.replaced) == (0.78825, {})
    assert [e.event for e in Ledger(workspace.submissions).events()] == ["created", "scored"]
