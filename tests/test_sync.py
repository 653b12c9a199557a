"""A board's list and the ledger: hw4's files are recognised, others adopted, nothing twice."""

from pathlib import Path
from typing import Any

from kaggle_hw4.kaggle.events import Created
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.listing import Listed
from kaggle_hw4.kaggle.sync import message_of, record

ROW = Listed("output_Boss_V1.csv", 0.78, 0.77, ref="7", date="2030-01-01T00:00:00")


def with_boss(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    ledger.append(Created(version="Boss_V1", sha256="ab" * 32))
    return ledger


def news(ledger: Ledger, *rows: Listed) -> list[tuple[str, Any, bool]]:
    lines = record(ledger, rows, "test")
    return [(line.version, list(line.news), line.adopted) for line in lines]


def changed(**more: Any) -> Listed:
    return Listed(**{**vars(ROW), **more})


def test_a_submission_is_known_by_its_file_and_then_by_its_reference(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    assert news(ledger, ROW) == [("Boss_V1", ["submitted", "scored"], False)]
    assert news(ledger, changed(file="renamed.csv")) == [("Boss_V1", [], False)]


def test_the_hash_in_the_message_counts_more_than_the_date(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    message = message_of(ledger.events()[0])
    assert message == "Boss_V1 · abababab"
    old = changed(date="2001-01-01T00:00:00")
    assert news(ledger, old) == [("Boss_V1@7", ["submitted", "scored"], True)]
    marked = changed(ref="8", date="2001-01-01T00:00:00", message=message)
    assert news(ledger, marked) == [("Boss_V1", ["submitted", "scored"], False)]


def test_files_made_elsewhere_with_one_name_are_told_apart_by_reference(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    rows = [changed(file="mine.csv", ref="9"), changed(file="mine.csv", ref="8")]
    assert [version for version, _, _ in news(ledger, *rows)] == ["mine", "mine@9"]
    assert [kinds for _, kinds, _ in news(ledger, *rows)] == [[], []]


def test_a_private_score_that_comes_later_is_added(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    news(ledger, changed(private=None))
    assert news(ledger, ROW) == [("Boss_V1", ["scored"], False)]
    assert ledger.entries()[0].score("private") == 0.77


def test_an_import_without_references_can_be_repeated(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    plain = Listed("output_Strong_V1.csv", 0.78825, 0.78275)
    assert news(ledger, plain) == [("Strong_V1", ["scored"], True)]
    assert news(ledger, plain) == [("Strong_V1", [], False)]


def test_a_failure_is_kept_once_with_its_reason(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    failed = changed(public=None, private=None, status="error", error="no such id")
    assert news(ledger, failed) == [("Boss_V1", ["submitted", "failed"], False)]
    assert news(ledger, failed) == [("Boss_V1", [], False)]
    assert ledger.entries()[0].failed.reason == "no such id"
