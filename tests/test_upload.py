"""hw4 submit and sync with the real Kaggle client, over a real socket, to a local server."""

import io
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.cli import main
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.kaggle.events import Created, Validation
from kaggle_hw4.kaggle.ledger import Ledger
from kaggle_hw4.kaggle.submissions import write_submission
from kaggle_hw4.kaggle.upload import pauses, until_midnight
from tests.kaggle_board import (
    DROP,
    DROP_AFTER,
    PENDING,
    SCORED,
    Board,
    credentials,
    declare_edition,
    needs_kaggle,
    surroundings,
)

pytestmark = needs_kaggle
Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def ledger(corpus: Corpus, tmp_path: Path) -> Ledger:
    """A workspace with a corpus of 2022's competition and one submission, Boss_V1."""
    shutil.copytree(corpus.folder, tmp_path / "packed")
    declare_edition(tmp_path / "packed")
    return with_submission(corpus, Ledger(tmp_path / "submissions"))


def with_submission(corpus: Corpus, ledger: Ledger) -> Ledger:
    ids = [corpus.ids[row] for row in corpus.test]
    file = write_submission(ledger.folder, "Boss", ids, [corpus.speakers[0]] * len(ids))
    cv = [Validation(kind="session", accuracy=0.81234)]
    ledger.append(Created(version=file.version, label="Boss", sha256=file.sha256, cv=cv))
    return ledger


@pytest.fixture
def hw4(
    ledger: Ledger,
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """The command line of a competitor whose Kaggle is `board`."""
    home = ledger.folder.parent
    # Once imported, the client is in this process for good: here is what it reads at each call.
    for name, value in (surroundings(home, board.server_port) | credentials).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments: str) -> tuple[int, Any, str]:
        """Exit code, stdout (JSON read), stderr."""
        capsys.readouterr()
        code = 0
        try:
            main(["--workspace", str(home), *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, errors = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, errors

    return run


def send(hw4: Command, *more: str) -> tuple[int, Any, str]:
    return hw4("submit", "Boss_V1", "--yes", "--json", *more)


def events(ledger: Ledger) -> list[str]:
    return [event.event for event in ledger.events()]


def test_a_submission_is_sent_to_the_byte_waited_for_and_recorded(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.verdicts = [PENDING, PENDING, SCORED]
    code, value, errors = send(hw4)
    assert (code, value["status"]) == (0, "complete")
    assert (value["public"], value["private"]) == (0.78825, 0.78275)
    assert errors.index("quota: 1 sent today, 4 left") >= 0
    assert list(board.uploads.values()) == [
        ("output_Boss_V1.csv", (ledger.folder / "output_Boss_V1.csv").read_bytes())
    ]
    assert board.submissions[0]["description"].startswith("Boss_V1 · session 0.8123 · ")
    assert events(ledger) == ["created", "submitted", "scored"]
    assert ledger.entries()[0].score("private") == 0.78275


def test_what_is_there_already_is_not_sent_again(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    for _ in range(2):
        assert send(hw4)[0] == 0
    assert len(board.uploads) == 1
    assert events(ledger) == ["created", "submitted", "scored"]


def test_nothing_is_sent_without_a_yes(ledger: Ledger, board: Board, hw4: Command) -> None:
    code, _, errors = hw4("submit", "Boss_V1")
    assert code == 2
    assert "quota: 1 sent today, 4 left" in errors, "the quota is shown before the question"
    assert "give --yes" in errors
    assert not board.uploads


def test_an_upload_that_only_claims_success_is_detected(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.lists_uploads = False
    code, _, errors = send(hw4)
    assert code == 5
    assert "Kaggle has not got output_Boss_V1.csv (Successfully submitted)" in errors
    assert events(ledger) == ["created"]


def test_a_failed_upload_that_the_client_calls_a_success_is_detected(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.faults["upload"] = [400]
    code, _, errors = send(hw4)
    assert code == 5
    assert "Kaggle has not got output_Boss_V1.csv (Could not submit" in errors
    assert not board.submissions


def test_kaggles_own_words_about_an_error_are_shown_and_kept(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.verdicts = [{"status": "ERROR", "errorDescription": "ID column\nhas nulls"}]
    code, _, errors = send(hw4)
    assert code == 5
    assert "Kaggle could not score output_Boss_V1.csv (ID column has nulls)" in errors
    assert ledger.entries()[0].failed.reason == "ID column has nulls"
    board.verdicts = [SCORED]
    assert send(hw4)[0] == 0, "what failed may be sent again"
    assert len(board.uploads) == 2


def test_a_score_that_does_not_come_in_time_is_fetched_later(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.verdicts = [PENDING] * 3
    code, value, _ = send(hw4, "--wait", "0")
    assert (code, value["status"], value["public"]) == (0, "pending", None)
    board.verdicts = [SCORED]
    code, news, _ = hw4("leaderboard", "sync", "--json")
    assert (code, news[0]["version"], news[0]["news"]) == (0, "Boss_V1", ["scored"])
    assert events(ledger) == ["created", "submitted", "scored"]


def test_a_used_up_quota_says_when_it_comes_back(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.quota = {"numToday": 5, "numTotal": 9, "numAllowedNow": 0}
    code, _, errors = send(hw4)
    assert code == 6
    assert "today's submissions are used up (5 sent); the next ones come at 00:00 UTC, in" in errors
    assert not board.uploads
    board.quota |= {"limitedByTotal": True}
    assert "all 9 submissions of this competition are used up" in send(hw4)[2]


def test_the_time_to_midnight_is_utc() -> None:
    assert until_midnight(datetime(2022, 4, 1, 20, 47, 30, tzinfo=UTC)) == "3 h 13 min"
    assert until_midnight(datetime(2022, 4, 1, 23, 59, 59, tzinfo=UTC)) == "0 h 1 min"


def test_requests_come_more_and_more_seldom() -> None:
    assert list(pauses(3)) == [0.5, 1, 2]
    assert list(islice(pauses(), 8)) == [0.5, 1, 2, 4, 8, 15, 15, 15]


PHASES = ("GetSubmissionLimits", "StartSubmissionUpload", "CreateSubmission")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "KAGGLE_API_TOKEN"),
        (403, "accept its rules at"),
        (404, "look whether"),
        (429, "wait a few minutes"),
        (503, "try again later"),
    ],
)
@pytest.mark.parametrize("phase", PHASES)
def test_a_refusal_in_any_phase_is_explained(
    ledger: Ledger, board: Board, hw4: Command, phase: str, status: int, words: str
) -> None:
    board.faults[phase], board.message = [status], "Not like\nthis."
    code, _, errors = send(hw4)
    assert code == 5
    assert words in errors
    assert "Not like this." in errors
    assert events(ledger) == ["created"]


@pytest.mark.parametrize("phase", [*PHASES, "ListSubmissions"])
def test_a_connection_dropped_before_anything_was_done_is_reported(
    ledger: Ledger, board: Board, hw4: Command, phase: str
) -> None:
    board.faults[phase] = [DROP]
    code, _, errors = send(hw4)
    assert code == 5
    assert "run the same command again" in errors
    assert send(hw4)[0] == 0, "and the same command then succeeds"
    assert len(board.submissions) == 1


# The client resumes a dropped upload by itself; where an answer was lost, the list has the file.
@pytest.mark.parametrize(("phase", "fault"), [("upload", DROP), ("CreateSubmission", DROP_AFTER)])
def test_what_is_lost_on_the_way_still_ends_with_one_scored_submission(
    ledger: Ledger, board: Board, hw4: Command, phase: str, fault: str
) -> None:
    board.faults[phase] = [fault]
    code, value, _ = send(hw4)
    assert (code, value["status"], value["public"]) == (0, "complete", 0.78825)
    assert len(board.submissions) == 1


def test_without_the_list_it_is_unknown_whether_the_file_has_arrived(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.faults["ListSubmissions"] = ["", DROP]  # the one before the upload, the one after it
    code, _, errors = send(hw4)
    assert code == 5
    assert "nobody knows whether Kaggle has got output_Boss_V1.csv" in errors
    assert "look with hw4 leaderboard sync before you send it again" in errors
    assert hw4("leaderboard", "sync")[0] == 0
    assert events(ledger) == ["created", "submitted", "scored"]


def test_a_connection_lost_while_waiting_loses_nothing(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.verdicts = [PENDING, SCORED]
    board.faults["ListSubmissions"] = ["", "", DROP, 500]
    code, value, _ = send(hw4)
    assert (code, value["public"]) == (0, 0.78825)


def test_without_credentials_it_says_where_to_put_them(
    hw4: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    code, _, errors = hw4("submit", "--yes")
    assert code == 5
    assert "https://www.kaggle.com/settings/api" in errors


def test_a_spoiled_submission_never_reaches_the_network(
    ledger: Ledger, board: Board, hw4: Command
) -> None:
    path = ledger.folder / "output_Boss_V1.csv"
    path.write_text(path.read_text().replace(",id", ",di"))
    code, _, errors = send(hw4)
    assert code == 4
    assert "output_Boss_V1.csv is not valid" in errors
    assert not board.uploads


def test_a_submission_equal_to_an_earlier_one_is_warned_of(
    corpus: Corpus, ledger: Ledger, board: Board, hw4: Command
) -> None:
    board.verdicts = [SCORED, SCORED]
    assert send(hw4)[0] == 0
    with_submission(corpus, ledger)
    code, value, errors = hw4("submit", "Boss_V2", "--yes", "--json")
    assert code == 0
    assert value["warnings"] == [
        "Boss_V2 differs from Boss_V1 in 0 of 8 rows: too few for the board to tell them apart"
    ]
    assert "warning: Boss_V2 differs" in errors
