"""A board's list and the ledger: hw4's files are recognised, others adopted, nothing twice."""

from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.kaggle.events import Created, Submitted
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


def names(*files: str) -> list[Listed]:
    """Newest first, each with another score."""
    return [Listed(file, 0.7 + i / 100, 0.6) for i, file in enumerate(files)]


def test_rows_of_one_name_are_different_submissions_and_are_imported_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    rows = names("output.csv", "output.csv", "output.csv")
    assert [line[0] for line in news(ledger, *rows)] == ["output", "output@2", "output@3"]
    scores = {entry.version: entry.score("public") for entry in ledger.entries()}
    assert scores == {"output": 0.72, "output@2": 0.71, "output@3": 0.7}
    before = ledger.events()
    news(ledger, *rows)
    news(ledger, *reversed(rows))
    assert ledger.events() == before


def test_two_submissions_of_one_name_and_one_score_stay_two(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    same = Listed("output.csv", 0.7, 0.6)
    assert [line[0] for line in news(ledger, same, same)] == ["output", "output@2"]
    assert [line[1] for line in news(ledger, same, same)] == [[], []]


def test_a_dated_list_and_then_one_with_references_add_to_what_is_known(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    rows = names("output.csv", "output.csv")
    news(ledger, *rows)
    dated = [
        Listed(**{**vars(row), "date": f"2022-04-0{3 - i}T12:00:00"}) for i, row in enumerate(rows)
    ]
    assert [line[:2] for line in news(ledger, *dated)] == [
        ("output", ["submitted"]),
        ("output@2", ["submitted"]),
    ]
    with_ref = [Listed(**{**vars(row), "ref": str(i)}) for i, row in enumerate(dated)]
    assert next(line[:2] for line in news(ledger, *with_ref)) == ("output", ["submitted"])
    assert all(line[1] == [] for line in news(ledger, *dated))


def test_a_date_cut_to_the_minute_is_the_same_date(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    news(ledger, Listed("a.csv", 0.7, date="2022-04-01T12:00:31"))
    assert news(ledger, Listed("a.csv", 0.7, date="2022-04-01T12:00:00")) == [("a", [], False)]
    later = Listed("a.csv", 0.7, date="2022-04-02T12:00:00")
    assert news(ledger, later) == [("a@2", ["submitted", "scored"], True)]


def test_a_submission_that_waits_is_kept_without_a_reference(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    waits = Listed("a.csv", status="pending")
    assert news(ledger, waits) == [("a", ["submitted"], True)]
    assert news(ledger, waits) == [("a", [], False)]
    assert news(ledger, Listed("a.csv", 0.7)) == [("a", ["scored"], False)]


def test_a_new_score_of_a_known_date_is_the_same_submission(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    news(ledger, Listed("a.csv", 0.7, date="2022-04-01T12:00:00"))
    again = Listed("a.csv", 0.71, date="2022-04-01T12:00:00")
    assert news(ledger, again) == [("a", ["scored"], False)]


def test_an_import_that_was_killed_anywhere_is_completed_by_the_next(tmp_path: Path) -> None:
    ledger, rows = Ledger(tmp_path), names("a.csv", "b.csv", "b.csv")
    rows.append(changed(file="c.csv"))
    record(ledger, rows, "test")
    whole = ledger.path.read_bytes()
    kinds = sorted((event.version, event.event) for event in ledger.events())
    for cut in range(0, len(whole), 23):
        ledger.path.write_bytes(whole[:cut])
        record(ledger, rows, "test")
        assert sorted((event.version, event.event) for event in ledger.events()) == kinds, cut


STRONG = Listed("output_Strong_V1.csv", 0.78825, 0.78275)


def test_an_undated_row_is_no_submission_that_was_never_sent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(Created(version="Strong_V1", sha256="ab" * 32))
    ledger.append(Submitted(version="Strong_V1", to="local"))
    [line] = record(ledger, [STRONG], "test")
    assert (line.version, line.adopted, line.unlike) == ("Strong_V1 (imported)", True, "Strong_V1")
    own, imported = ledger.entries()
    assert (own.sent, own.score("public"), imported.score("public")) == (False, None, 0.78825)
    assert news(ledger, STRONG) == [("Strong_V1 (imported)", [], False)]
    other = Listed("output_Strong_V1.csv", 0.7)
    assert news(ledger, other) == [("Strong_V1 (imported)@2", ["scored"], True)]
    assert news(ledger, other) == [("Strong_V1 (imported)@2", [], False)]


def test_a_row_that_a_list_has_twice_is_one_submission(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    twice = [("Boss_V1", ["submitted", "scored"], False), ("Boss_V1", [], False)]
    assert news(ledger, ROW, ROW) == twice


def test_an_undated_row_adds_to_a_submission_that_was_sent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(Created(version="Strong_V1", sha256="ab" * 32))
    ledger.append(Submitted(version="Strong_V1", to="kaggle", ref="7"))
    assert news(ledger, STRONG) == [("Strong_V1", ["scored"], False)]
    other = Listed("output_Strong_V1.csv", 0.7)
    assert news(ledger, other) == [("Strong_V1 (imported)", ["scored"], True)]


def test_a_row_with_the_message_of_another_file_is_another_submission(tmp_path: Path) -> None:
    ledger = with_boss(tmp_path)
    theirs = changed(message="Boss_V1 · session 0.8123 · cdcdcdcd")
    assert news(ledger, theirs) == [("Boss_V1@7", ["submitted", "scored"], True)]


def test_a_list_is_read_and_written_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], Ledger.read
    monkeypatch.setattr(Ledger, "read", lambda self: reads.append(1) or read(self))
    record(Ledger(tmp_path), names(*(f"output_Boss_V{i}.csv" for i in range(25))), "test")
    assert len(reads) == 1
    assert len(Ledger(tmp_path).entries()) == 25
