"""From a submission to its score: the checks, the local board, Kaggle."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.competition import NO_EDITION, destination
from kaggle_hw4.errors import BoardError, DataError, UsageError
from kaggle_hw4.stages.edition import edition_of_workspace
from kaggle_hw4.stages.split import corpus_of
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from kaggle_hw4.kaggle.ledger import Entry, Ledger
    from kaggle_hw4.kaggle.listing import Listed

KAGGLE_REFUSES = f"{NO_EDITION}: Kaggle will refuse its ids"
DESTINATIONS = ("kaggle", "web", "local")
WAIT = 600.0  # seconds for a score

Ask = Callable[[dict[str, Any]], bool]  # shown what would be sent and the quota: send it?
Tell = Callable[[str], None]


def submit(
    workspace: Workspace, version: str | None, to: str, truth: Path | None = None
) -> dict[str, Any]:
    """Check a submission, then score it on `truth`, say where to upload it, or leave it at that.

    Nothing is sent anywhere: that is `send`.
    """
    if to not in ("web", "local"):
        raise UsageError(f"--to {to}: a submission goes to one of {', '.join(DESTINATIONS)}")
    if to == "web" and truth is not None:
        raise UsageError("--truth is for --to local: Kaggle has a truth of its own")
    ledger, entry, result = _checked(workspace, version)
    result["to"] = to
    if to == "web":
        edition = edition_of_workspace(workspace)
        # Nothing goes to the ledger: only a recorded score is evidence of an upload.
        return result | {"page": edition.submit_page if edition else None}
    if truth is None:
        return result
    from kaggle_hw4.kaggle.leaderboard import score_locally

    score = score_locally(Path(result["path"]), truth)
    ledger.append({"event": "submitted", "version": entry.version, "to": to})
    return result | ledger.append(score.event(entry.version, truth))


def _checked(workspace: Workspace, version: str | None) -> "tuple[Ledger, Entry, dict[str, Any]]":
    """The entry, fit to be sent, with what there is to know before; DataError names each fault."""
    from kaggle_hw4.kaggle.forecast import forecast
    from kaggle_hw4.kaggle.leaderboard import resolve
    from kaggle_hw4.kaggle.ledger import Ledger
    from kaggle_hw4.kaggle.submissions import check_submission, path_of

    ledger = Ledger(workspace.submissions)
    entry = resolve(ledger, version)
    path = path_of(workspace.submissions, entry.version)
    corpus = corpus_of(workspace)
    problems = check_submission(path, [corpus.ids[row] for row in corpus.test], corpus.speakers)
    if not problems and entry.created and sha256_file(path) != entry.created.get("sha256"):
        problems = ["its rows have changed since hw4 wrote it"]
    if problems:
        raise DataError(f"{path} is not fit to be sent", "make it anew: hw4 ensemble", problems)
    edition = edition_of_workspace(workspace)
    result = {
        "version": entry.version,
        "path": str(path),
        "edition": edition.year if edition else None,
        "warnings": _warnings(ledger, entry.version),
        "forecast": forecast(ledger.entries(), (entry.created or {}).get("cv"), edition),
    }
    return ledger, entry, result


def _warnings(ledger: "Ledger", version: str) -> list[str]:
    """Earlier submissions that the board could hardly tell from this one."""
    from kaggle_hw4.kaggle.noise import cannot_be_told_apart, differing

    found = []
    for entry in ledger.entries():
        sent = entry.version != version and (entry.submissions or entry.scores)
        rows = differing(ledger.folder, version, entry.version) if sent else None
        if rows and cannot_be_told_apart(*rows):
            found.append(
                f"{version} differs from {entry.version} in {rows[0]:,} of {rows[1]:,} rows: "
                "too few for the board to tell them apart"
            )
    return found


def send(
    workspace: Workspace, version: str | None, ask: Ask, tell: Tell, seconds: float = WAIT
) -> dict[str, Any]:
    """Upload a submission to Kaggle, unless it is there already, and wait for its score.

    Raises QuotaError before anything is sent, BoardError where Kaggle has not got it or cannot
    score it. Without a score in time, `status` is pending.
    """
    from kaggle_hw4.kaggle import sync, upload
    from kaggle_hw4.kaggle.client import connect

    ledger, entry, result = _checked(workspace, version)
    path = Path(result["path"])
    created = entry.created or {"version": entry.version, "sha256": sha256_file(path)}
    message = sync.message_of(created)
    edition = edition_of_workspace(workspace)
    if edition is None:
        result["warnings"] = [*result["warnings"], KAGGLE_REFUSES]
    kaggle = connect(destination(edition).slug)
    allowed = upload.quota(kaggle)
    result |= {"to": "kaggle", "message": message, "quota": vars(allowed)}
    before = upload.list_submissions(kaggle)
    # One that the board could not score may be sent again.
    listed = upload.find((row for row in before if row.status != "error"), path, message)
    if listed is None:
        allowed.check()
        if not ask(result):
            return result | {"status": "not sent"}
        tell(f"{path.name}: sending")
        listed = upload.send(kaggle, path, message, before)
    sync.record(ledger, [listed], "by hw4 submit")
    listed = upload.wait(kaggle, listed, seconds, tell)
    sync.record(ledger, [listed], "by hw4 submit")
    if listed.status == "error":
        reason = listed.error or "no reason given"
        raise BoardError(f"Kaggle could not score {path.name} ({reason})")
    return result | _state(listed)


def _state(listed: "Listed") -> dict[str, Any]:
    scores = {"public": listed.public, "private": listed.private}
    return {"board": "kaggle", "ref": listed.ref, "status": listed.status, **scores}
