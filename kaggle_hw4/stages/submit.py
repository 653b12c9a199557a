"""From a submission to its score: the checks, the local board, Kaggle.

`check` reads only; `submit` scores on a local board or names the page for an upload by hand, and
sends nothing; `send` uploads to Kaggle.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.competition import NO_EDITION, Edition, destination
from kaggle_hw4.errors import BoardError, DataError, UsageError
from kaggle_hw4.kaggle.events import DESTINATIONS
from kaggle_hw4.locks import Timeout, locked
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.client import Connection
    from kaggle_hw4.kaggle.events import Scored
    from kaggle_hw4.kaggle.forecast import Forecast
    from kaggle_hw4.kaggle.ledger import Entry, Ledger
    from kaggle_hw4.kaggle.listing import Listed
    from kaggle_hw4.kaggle.upload import Quota

KAGGLE_REFUSES = f"{NO_EDITION}: Kaggle will refuse its ids"
WAIT = 600.0  # seconds for a score


@dataclass(frozen=True)
class SubmitResult:
    """What is known of a submission before it is sent, and what became of it.

    What does not apply, or is not known yet, is None.
    """

    version: str
    path: Path
    to: str  # one of DESTINATIONS
    edition: int | None = None  # the year, where the corpus is the competition's
    warnings: tuple[str, ...] = ()
    forecast: "Forecast | None" = None
    page: str | None = None  # where to upload the file by hand
    message: str | None = None  # what Kaggle's list of submissions shows
    quota: "Quota | None" = None
    status: str | None = None  # at Kaggle: pending or complete; or not sent
    ref: str | None = None  # Kaggle's number for it
    board: str | None = None  # kaggle or local, where it has been sent
    public: float | None = None
    private: float | None = None
    n_public: int | None = None  # rows of the public half
    n_private: int | None = None


@dataclass(frozen=True)
class Checked:
    """A valid submission and where it was read."""

    ledger: "Ledger"
    entry: "Entry"
    path: Path
    edition: Edition | None

    def outcome(self, to: str) -> SubmitResult:
        """What there is to know before it is sent."""
        from kaggle_hw4.kaggle.forecast import forecast

        return SubmitResult(
            version=self.entry.version,
            path=self.path,
            to=to,
            edition=self.edition.year if self.edition else None,
            warnings=tuple(_warnings(self.ledger, self.entry.version)),
            forecast=forecast(self.ledger.entries(), self.entry.cv, self.edition),
        )


Ask = Callable[[SubmitResult], bool]  # shown what would be sent and the quota: send it?
Notify = Callable[[str], None]  # shows what is being waited for


def check(workspace: Workspace, version: str | None) -> Checked:
    """The submission, the latest one without a name. Raises DataError that names each problem."""
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.submissions import check_submission, path_of

    ledger = Ledger(workspace.submissions)
    entry = resolve(ledger, version)
    path = path_of(workspace.submissions, entry.version)
    corpus = corpus_of(workspace)
    problems = check_submission(path, [corpus.ids[row] for row in corpus.test], corpus.speakers)
    if not problems and entry.created and sha256_file(path) != entry.created.sha256:
        problems = ["its rows have changed since hw4 wrote it"]
    if problems:
        raise DataError(f"{path} is not valid", "make it again: hw4 ensemble", problems)
    return Checked(ledger, entry, path, edition_of_workspace(workspace))


def submit(
    workspace: Workspace, version: str | None, to: str, truth: Path | None = None
) -> SubmitResult:
    """Check a submission, then score it on `truth` or name the page to upload it; else only check.

    Nothing is sent to Kaggle: that is `send`. Raises UsageError for another destination, DataError
    for a submission or a truth file that is not valid.
    """
    if to not in ("web", "local"):
        known = f"a submission goes to one of {', '.join(DESTINATIONS)}"
        raise UsageError(f"{known}, not {to!r}", parameter="to")
    if to == "web" and truth is not None:
        what = "a truth file is for the local board: Kaggle has its own"
        raise UsageError(what, parameter="truth")
    checked = check(workspace, version)
    outcome = checked.outcome(to)
    if to == "web":
        # Nothing goes to the ledger: only a recorded score is evidence of an upload.
        return replace(outcome, page=checked.edition.submit_page if checked.edition else None)
    return outcome if truth is None else _score(checked, outcome, truth)


def _score(checked: Checked, outcome: SubmitResult, truth: Path) -> SubmitResult:
    """Score on a truth file, and keep the score, once."""
    from kaggle_hw4.kaggle.events import Event, Submitted
    from kaggle_hw4.kaggle.leaderboard import score_locally

    version, score = outcome.version, score_locally(checked.path, truth)
    scored = score.event(version, truth)
    with checked.ledger.transaction() as ledger:
        entry = ledger.entry(version)
        news: list[Event] = [] if entry.on("local") else [Submitted(version=version, to="local")]
        known = entry.scores.get("local")
        if known is None or not score.is_that_of(known):
            news.append(scored)
        ledger.append_all(news)
    return _with_scores(outcome, scored)


def known_outcome(workspace: Workspace, version: str, to: str) -> SubmitResult | None:
    """What the ledger knows of a submission that has its score already; None where it has none."""
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.submissions import path_of

    entry = resolve(Ledger(workspace.submissions), version)
    scored = entry.scores.get("local" if to == "local" else "kaggle")
    if scored is None:
        return None
    return _with_scores(SubmitResult(version, path_of(workspace.submissions, version), to), scored)


def _with_scores(outcome: SubmitResult, scored: "Scored") -> SubmitResult:
    return replace(
        outcome,
        board=scored.board,
        public=scored.public,
        private=scored.private,
        n_public=scored.n_public,
        n_private=scored.n_private,
    )


def _warnings(ledger: "Ledger", version: str) -> list[str]:
    """Earlier submissions that the board could hardly tell from this one."""
    from kaggle_hw4.kaggle.noise import differing, indistinguishable

    warnings = []
    for entry in ledger.entries():
        sent = entry.version != version and (entry.submissions or entry.scores)
        rows = differing(ledger.folder, version, entry.version) if sent else None
        if rows and indistinguishable(rows.rows):
            warnings.append(
                f"{version} differs from {entry.version} in {rows.rows:,} of {rows.total:,} rows: "
                "too few for the board to tell them apart"
            )
    return warnings


def send(
    workspace: Workspace, version: str | None, ask: Ask, notify: Notify, seconds: float = WAIT
) -> SubmitResult:
    """Upload a submission to Kaggle, unless it is there already, and wait for its score.

    Raises QuotaError before anything is sent, BoardError where Kaggle has not got it or cannot
    score it. Without a score in time, `status` is pending.
    """
    from kaggle_hw4.kaggle import sync, upload
    from kaggle_hw4.kaggle.client import connect

    # Check the file, and compose the message that marks it in Kaggle's list.
    checked = check(workspace, version)
    outcome = replace(checked.outcome("kaggle"), message=_message(checked))
    if checked.edition is None:
        outcome = replace(outcome, warnings=(*outcome.warnings, KAGGLE_REFUSES))

    # Send it, where Kaggle does not have it; two processes at once would both upload it.
    kaggle = connect(destination(checked.edition).slug)
    with _alone(checked.ledger.folder, notify):
        outcome = replace(outcome, quota=upload.quota(kaggle))
        listed = _upload(kaggle, outcome, ask, notify)
        if listed is None:
            return replace(outcome, status="not sent")
        sync.record(checked.ledger, [listed], "by hw4 submit")

    # Wait for its score.
    listed = upload.wait(kaggle, listed, seconds, notify)
    sync.record(checked.ledger, [listed], "by hw4 submit")
    return _with_state(outcome, listed)


def _upload(
    kaggle: "Connection", outcome: SubmitResult, ask: Ask, notify: Notify
) -> "Listed | None":
    """The submission as Kaggle lists it, sent if it was not there; None where it shall not be sent.

    One that the board could not score may be sent again.
    """
    from kaggle_hw4.kaggle import upload

    path, message = outcome.path, outcome.message or ""
    before = upload.list_submissions(kaggle)
    scorable = (row for row in before if row.status != "error")
    if listed := upload.find(scorable, path, message):
        return listed
    if outcome.quota:
        outcome.quota.check()
    if not ask(outcome):
        return None
    notify(f"{path.name}: sending")
    return upload.upload(kaggle, path, message, before)


@contextmanager
def _alone(folder: Path, notify: Notify) -> Iterator[None]:
    """Hold the lock of uploads from this folder; says so where another process holds it."""
    with ExitStack() as stack:
        lock = folder / ".submit.lock"
        try:
            stack.enter_context(locked(lock, timeout=0))
        except Timeout:
            notify("another hw4 submit is sending: this one waits for it")
            stack.enter_context(locked(lock))
        yield


def _message(checked: Checked) -> str:
    from kaggle_hw4.kaggle.events import Created
    from kaggle_hw4.kaggle.sync import message_of

    version, created = checked.entry.version, checked.entry.created
    return message_of(created or Created(version=version, sha256=sha256_file(checked.path)))


def _with_state(outcome: SubmitResult, listed: "Listed") -> SubmitResult:
    if listed.status == "error":
        reason = listed.error or "no reason given"
        raise BoardError(f"Kaggle could not score {outcome.path.name} ({reason})")
    return replace(
        outcome,
        board="kaggle",
        ref=listed.ref,
        status=listed.status,
        public=listed.public,
        private=listed.private,
    )
