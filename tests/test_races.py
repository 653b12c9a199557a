"""Eight processes at once do what each was asked, and leave what one alone would have left."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds, write_folds
from kaggle_hw4.kaggle.client import connect
from kaggle_hw4.kaggle.events import Created
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.submissions import find_unrecorded, write_submission
from kaggle_hw4.stages.submit import submit
from kaggle_hw4.workspace import Workspace, shipped
from tests.conftest import tiny, trained
from tests.kaggle_board import Board, needs_kaggle
from tests.races import AT_ONCE, race
from tests.test_synth import contents
from tests.test_upload import hw4 as hw4  # a fixture
from tests.test_upload import ledger as ledger  # a fixture
from tests.test_upload import send

EXAMPLE = shipped("examples/past_scores.csv")


def kinds(folder: Path) -> list[str]:
    return sorted(event.event for event in Ledger(folder).events())


@pytest.fixture
def packed(corpus: Corpus, tmp_path: Path) -> Path:
    """A workspace with a corpus."""
    shutil.copytree(corpus.folder, tmp_path / "packed")
    return tmp_path


def test_a_list_that_is_imported_eight_times_at_once_is_taken_in_once(tmp_path: Path) -> None:
    command = ("--workspace", tmp_path, "leaderboard", "import", EXAMPLE)
    assert [each.code for each in race(*[command] * AT_ONCE)] == [0] * AT_ONCE
    assert kinds(tmp_path / "submissions") == ["scored"] * 5
    assert Ledger(tmp_path / "submissions").problems() == []


def test_a_score_that_is_recorded_eight_times_at_once_is_kept_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "submissions")
    ledger.append(Created(version="Boss_V1"))
    command = ("--workspace", tmp_path, "leaderboard", "record", "Boss_V1", "--public", "0.8")
    assert [each.code for each in race(*[command] * AT_ONCE)] == [0] * AT_ONCE
    assert kinds(ledger.folder) == ["created", "scored"]
    forget = ("--workspace", tmp_path, "leaderboard", "forget", "Boss_V1")
    ended = race(*[forget] * AT_ONCE)
    assert sorted(each.code for each in ended) == [0] + [2] * (AT_ONCE - 1)
    assert sum("was forgotten already" in each.err for each in ended) == AT_ONCE - 1


def test_a_fold_table_that_is_asked_for_eight_times_at_once_is_made_once(packed: Path) -> None:
    command = ("--workspace", packed, "split", "--folds", "2", "--by", "session", "--json")
    ended = race(*[command] * AT_ONCE)
    assert [(each.code, each.out) for each in ended] == [(0, ended[0].out)] * AT_ONCE
    assert [path.name for path in (packed / "folds").glob("*.csv")] == ["session2.csv"]


def test_a_corpus_that_is_asked_for_eight_times_at_once_is_written_once(tmp_path: Path) -> None:
    command = ("data", "synth", tmp_path / "out", "--speakers", "2", "--frames", "95", "--json")
    ended = race(*[command] * AT_ONCE)
    assert [(each.code, each.out) for each in ended] == [(0, ended[0].out)] * AT_ONCE
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    before = contents(tmp_path / "out")
    others = race(*[(*command, "--seed", "1"), command] * 2)
    assert [each.code for each in others] == [4, 0, 4, 0]
    assert others[0].err.count("\n") == 1
    assert "a corpus of other sizes, or another seed; choose another folder" in others[0].err
    assert contents(tmp_path / "out") == before


@needs_kaggle
def test_a_submission_that_is_sent_four_times_at_once_arrives_once(
    ledger: Ledger, board: Board, hw4: Callable[..., tuple[int, Any, str]]
) -> None:
    def slow(request: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.5)  # time for all others to ask what Kaggle has
        return Board.start(board, request)

    board.start = slow  # type: ignore[method-assign]
    connect("any")  # once imported, the client is there at once
    command = ("--workspace", ledger.folder.parent, "submit", "Boss_V1", "--yes", "--wait", "9")
    ended = race(*[command] * 4)
    assert [each.code for each in ended] == [0] * 4, ended
    assert len(board.submissions) == len(board.uploads) == 1
    assert kinds(ledger.folder) == ["created", "scored", "submitted"]


@needs_kaggle
def test_a_submission_whose_score_was_lost_to_a_kill_is_not_sent_again(
    ledger: Ledger, board: Board, hw4: Callable[..., tuple[int, Any, str]]
) -> None:
    for _ in range(3):
        assert send(hw4)[0] == 0
        *kept, last = ledger.path.read_bytes().splitlines(keepends=True)
        ledger.path.write_bytes(b"".join(kept))  # killed before this event
    ledger.path.write_bytes(b"".join([*kept, last]))
    assert len(board.submissions) == 1
    assert kinds(ledger.folder) == ["created", "scored", "submitted"]


def test_a_dataset_that_is_packed_eight_times_at_once_is_packed_once(
    synthetic: Path, tmp_path: Path
) -> None:
    command = ("--workspace", tmp_path, "data", "pack", synthetic, "--json")
    ended = race(*[command] * AT_ONCE)
    assert [(each.code, each.out) for each in ended] == [(0, ended[0].out)] * AT_ONCE


def test_a_blend_that_is_asked_for_eight_times_at_once_is_one_submission(
    packed: Path, corpus: Corpus, folds: Folds
) -> None:
    write_folds(packed / "folds", folds, corpus)
    for fold in range(2):
        trained(tiny("boss"), corpus, folds, packed / "runs", fold=fold)
    command = ("--workspace", packed, "ensemble", packed / "runs")
    assert [each.code for each in race(*[command] * AT_ONCE)] == [0] * AT_ONCE
    ledger = Ledger(packed / "submissions")
    assert kinds(ledger.folder) == ["created"]
    ledger.path.unlink()  # killed after the file was written, before the event was
    assert [each.code for each in race(*[command] * 2)] == [0, 0]
    assert [event.version for event in ledger.events()] == ["Boss_V1"]
    assert [path.name for path in ledger.folder.glob("*.csv")] == ["output_Boss_V1.csv"]


IDS, ANSWERS = ["a", "b", "c", "d"], ["x", "y", "x", "y"]


def test_a_file_whose_ensemble_was_killed_before_it_was_recorded_is_found(tmp_path: Path) -> None:
    written = write_submission(tmp_path, "Boss", IDS, ANSWERS)
    assert find_unrecorded(tmp_path, "Boss", IDS, ANSWERS) == written
    assert find_unrecorded(tmp_path, "Strong", IDS, ANSWERS) is None
    assert find_unrecorded(tmp_path, "Boss", IDS, ANSWERS[::-1]) is None
    Ledger(tmp_path).append(Created(version=written.version))
    assert find_unrecorded(tmp_path, "Boss", IDS, ANSWERS) is None


def test_a_local_score_is_kept_once_also_where_its_first_event_was_there_already(
    corpus: Corpus, packed: Path, synthetic: Path
) -> None:
    ids = [corpus.ids[row] for row in corpus.test]
    folder = packed / "submissions"
    write_submission(folder, "Boss", ids, [corpus.speakers[0]] * len(ids))
    submit(Workspace(packed), "Boss_V1", "local", synthetic / "truth.csv")
    path = folder / "ledger.jsonl"
    first, _ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first)  # killed after the first event
    for _ in range(2):
        submit(Workspace(packed), "Boss_V1", "local", synthetic / "truth.csv")
    assert kinds(folder) == ["scored", "submitted"]
