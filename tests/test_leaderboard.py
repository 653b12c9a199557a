"""Scores and the table that they are shown in."""

from pathlib import Path

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.competition import DEFAULT
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.kaggle.events import Created, Scored, Submitted, Validation
from kaggle_hw4.kaggle.leaderboard import (
    halves,
    passed,
    resolve,
    score_locally,
    standard_error,
    table,
)
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.submissions import write_submission

IDS = [f"uttr-{n:04}.pt" for n in range(101)]


def write(path: Path, rows: dict[str, str]) -> Path:
    path.write_text("Id,Category\n" + "".join(f"{i},{s}\n" for i, s in rows.items()))
    return path


def score_event(version: str, public: float | None, board: str = "kaggle") -> Scored:
    return Scored(version=version, board=board, public=public, private=0.5)


def test_halves_are_exact_and_do_not_depend_on_the_order() -> None:
    public, private = halves(IDS)
    assert (len(public), len(private)) == (51, 50)
    assert sorted(public + private) == IDS
    assert halves(IDS[::-1]) == (public, private)


def test_the_halves_of_given_ids_never_change() -> None:
    assert halves("abcd") == (["d", "c"], ["b", "a"])


def test_each_half_is_scored_by_itself(tmp_path: Path) -> None:
    public, _ = halves(IDS)
    truth = write(tmp_path / "truth.csv", dict.fromkeys(IDS, "a"))
    answers = {i: "a" if i in public[:17] else "b" for i in reversed(IDS)}
    score = score_locally(write(tmp_path / "s.csv", answers), truth)
    assert (score.public, score.private) == (17 / 51, 0)
    assert (score.n_public, score.n_private) == (51, 50)


def test_a_score_goes_to_the_ledger_and_into_the_table(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.csv", dict.fromkeys(IDS, "a"))
    written = write_submission(tmp_path, "Boss", IDS, ["a"] * 100 + ["b"])
    ledger = Ledger(tmp_path)
    ledger.append(score_locally(written.path, truth).event(written.version, truth))
    (row,) = table(ledger.entries(), DEFAULT)
    assert (row.version, row.label, row.board) == ("Boss_V1", "Boss", "local")
    assert row.standard_error == standard_error(row.public, 51)


def test_answers_to_another_test_set_are_refused(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth.csv", dict.fromkeys(IDS[1:], "a"))
    answers = write(tmp_path / "s.csv", dict.fromkeys(IDS[:-1], "a"))
    with pytest.raises(DataError, match="not about the same test set") as raised:
        score_locally(answers, truth)
    assert raised.value.problems == (
        f"1 of 100 ids are only in the truth file, such as '{IDS[-1]}'",
        f"1 of 100 ids are only in the submission, such as '{IDS[0]}'",
    )


@pytest.mark.parametrize(
    "content", [None, "", "a,b\n1,2\n", "Id,Category\n", "Id,Category\nx,a\nx,a\n"]
)
def test_an_invalid_truth_file_is_named(tmp_path: Path, content: str | None) -> None:
    truth = tmp_path / "truth.csv"
    if content is not None:
        truth.write_text(content)
    with pytest.raises(DataError, match="truth"):
        score_locally(write(tmp_path / "s.csv", {"x": "a"}), truth)


def test_the_baselines_are_passed_when_reached() -> None:
    assert passed(0.60823, DEFAULT) == ()
    assert passed(0.7775, DEFAULT) == ("Simple", "Medium", "Strong")
    assert passed(0.88125, DEFAULT) == tuple(DEFAULT.baselines)


def test_the_standard_error_at_the_boss_baseline() -> None:
    assert standard_error(0.865, 4000) == pytest.approx(0.0054, abs=1e-5)


def test_the_table_puts_kaggle_first_the_best_on_top_and_the_unsent_last(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for version in ("A_V1", "B_V1", "C_V1", "D_V1"):
        ledger.append(Created(version=version))
    ledger.append(score_event("C_V1", 0.99, board="local"))
    ledger.append(Submitted(version="D_V1", to="kaggle"))
    ledger.append(score_event("B_V1", 0.75))
    ledger.append(score_event("C_V1", 0.88))
    lines = table(ledger.entries(), DEFAULT)
    errors = {(row.version, row.board): row.standard_error for row in lines}
    assert errors["C_V1", "kaggle"] == standard_error(0.88, DEFAULT.board_rows)
    assert errors["C_V1", "local"] is None, "of so many rows that nobody recorded"
    rows = [(row.version, row.board) for row in lines]
    kaggle = [("C_V1", "kaggle"), ("B_V1", "kaggle"), ("D_V1", "kaggle")]
    assert rows == [*kaggle, ("C_V1", "local"), ("A_V1", None)]


def test_validation_is_shown_by_its_kind(tmp_path: Path) -> None:
    session = Validation(kind="session", accuracy=0.8, low=0.78, high=0.82, n=900)
    ledger = Ledger(tmp_path)
    ledger.append(Created(version="A_V1", cv=[session]))
    ledger.append(Created(version="B_V1", cv=[session, Validation(kind="utterance")]))
    first, second = table(ledger.entries(), DEFAULT)
    assert first.cv["session"] == session
    assert set(second.cv) == {"session", "utterance"}


@pytest.mark.parametrize(
    "name",
    ["Boss_V1", "output_Boss_V1.csv", "/some/where/output_Boss_V1.csv", "./output_Boss_V1.csv"],
)
def test_a_version_is_found_by_its_name_and_by_its_file(tmp_path: Path, name: str) -> None:
    Ledger(tmp_path).append(Created(version="Boss_V1"))
    assert resolve(Ledger(tmp_path), name).version == "Boss_V1"


def test_without_a_name_the_latest_created_is_meant(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for version in ("Boss_V1", "Strong_V1"):
        ledger.append(Created(version=version))
    ledger.append(score_event("Boss_V1", 0.8))
    ledger.append(score_event("ByHand_V1", 0.7))
    assert resolve(ledger, None).version == "Strong_V1"


def test_a_file_put_there_by_hand_can_be_sent_too(tmp_path: Path) -> None:
    write(tmp_path / "output_Strong_V2_Manual.csv", {"x": "a"})
    assert resolve(Ledger(tmp_path), "Strong_V2_Manual").created is None


def test_an_unknown_version_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no submission yet"):
        resolve(Ledger(tmp_path), None)
    Ledger(tmp_path).append(Created(version="Boss_V1"))
    with pytest.raises(UsageError, match="known: Boss_V1"):
        resolve(Ledger(tmp_path), "Boss_V2")


def test_a_recorded_score_says_what_it_replaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "submissions"
    folder.mkdir()
    write(folder / "output_Boss_V1.csv", {})
    printed = []
    for score in ("0.78825", "0.78825", "0.79"):
        record = ("leaderboard", "record", "Boss_V1", "--public", score)
        with pytest.raises(SystemExit, match="0"):
            main([*record, "--workspace", str(tmp_path)])
        printed.append(capsys.readouterr().out.strip())
    known = "Boss_V1 is recorded"
    assert printed == [known, known, f"{known}, in the place of public 0.78825"]


def test_ones_own_file_is_imported_where_an_example_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "past_scores.csv").write_text("mine.csv,0.7,0.8\n")
    with pytest.raises(SystemExit, match="0"):
        main(["leaderboard", "import", "examples/past_scores.csv", "--workspace", str(tmp_path)])
    assert [entry.version for entry in Ledger(tmp_path / "submissions").entries()] == ["mine"]
