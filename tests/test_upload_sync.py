"""`hw4 leaderboard sync`, and uploads of a corpus that is of another edition or of none."""

import shutil
from collections.abc import Callable
from typing import Any

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.kaggle.ledger import Ledger
from tests.kaggle_board import (
    SCORED,
    Board,
    declare_edition,
    needs_kaggle,
)
from tests.test_upload import hw4 as hw4  # a fixture
from tests.test_upload import ledger as ledger  # a fixture
from tests.test_upload import send

pytestmark = needs_kaggle
Command = Callable[..., tuple[int, Any, str]]


def test_sync_of_an_empty_board(ledger: Ledger, board: Board, hw4: Command) -> None:
    code, errors, _ = hw4("leaderboard", "sync")
    assert (code, errors) == (0, "Kaggle lists no submissions yet\n")


def test_sync_adopts_files_made_elsewhere_page_by_page_and_only_once(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    for n in range(130):
        board.add(fileName="mine.csv", description=f'no. {n},\n"new"', **SCORED)
    code, news, _ = hw4("leaderboard", "sync", "--json")
    assert code == 0
    assert len({line["version"] for line in news if line["adopted"]}) == 130
    assert next(e.message for e in ledger.events() if e.version == "mine") == 'no. 0,\n"new"'
    before = ledger.events()
    _, news, _ = hw4("leaderboard", "sync", "--json")
    assert not any(line["news"] for line in news)
    assert ledger.events() == before


def test_sync_recognises_its_own_among_files_of_the_same_name(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.add(fileName="output_Boss_V1.csv", description="last week", **SCORED)
    assert send(hw4)[0] == 0
    _, news, _ = hw4("leaderboard", "sync", "--json")
    assert {line["version"]: line["adopted"] for line in news} == {
        "Boss_V1": False,
        "Boss_V1@100": True,
    }


def test_a_corpus_of_no_edition_is_warned_of_and_sent_to_the_default_competition(
    corpus: Corpus, ledger: Ledger, board: Board, hw4: Command
) -> None:
    shutil.rmtree(ledger.folder.parent / "packed")
    shutil.copytree(corpus.folder, ledger.folder.parent / "packed")
    code, value, errors = send(hw4)
    assert (code, value["status"]) == (0, "complete")
    assert value["warnings"] == [
        "this corpus is no edition of the competition: Kaggle will refuse its ids"
    ]
    assert "forecast: none, this corpus is no edition of the competition" in errors
    assert board.competitions == {"ml2022spring-hw4"}


def test_a_submission_goes_to_the_competition_of_its_corpus(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    declare_edition(ledger.folder.parent / "packed", 2023)
    assert send(hw4)[0] == 0
    assert board.competitions == {"ml2023spring-hw4"}


def test_sync_fetches_the_files_made_elsewhere_and_intervals_get_narrower(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    ids = [f"uttr-{i}.pt" for i in range(400)]
    for n, score in enumerate(("0.75", "0.76", "0.77")):
        rows = [f"{name},{'id1' if i < 290 + n else 'id2'}" for i, name in enumerate(ids)]
        board.add(fileName=f"old{n}.csv", status="COMPLETE", publicScore=score)
        board.files[100 + n] = "\n".join(["Id,Category", *rows, ""]).encode()
    board.files[102] = b"<html>no table"
    code, _, errors = hw4("leaderboard", "sync", "--json")
    assert code == 0
    assert "fetched the files of 2 submissions" in errors
    assert "not fetched: old2: " in errors
    assert (ledger.folder / "output_old1.csv").read_bytes() == board.files[101]
    assert not (ledger.folder / "output_old2.csv").exists()
    _, shown, _ = hw4("leaderboard", "show", "--json")
    paired = {(d["better"], d["worse"]): d["paired"] for d in shown["neighbours"]}
    assert paired["old1", "old0"]
    assert not paired["old2", "old1"]
    _, _, again = hw4("leaderboard", "sync", "--json")
    assert "fetched the files" not in again


def test_a_file_made_here_is_never_fetched(ledger: Ledger, board: Board, hw4: Command) -> None:
    assert send(hw4)[0] == 0
    path = ledger.folder / "output_Boss_V1.csv"
    path.unlink()
    board.files = {int(row["ref"]): b"Id,Category\na,b\n" for row in board.submissions}
    assert hw4("leaderboard", "sync", "--json")[0] == 0
    assert not path.exists()
