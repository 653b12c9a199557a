"""Uploading a submission to Kaggle, and making sure that it has arrived."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kaggle_hw4.errors import BoardError, QuotaError
from kaggle_hw4.kaggle.client import AGAIN, Connection, kaggle_errors
from kaggle_hw4.kaggle.listing import Listed, number

PAGE = 100  # submissions asked for at a time
ATTEMPTS = 3  # to find an upload in the list, before it counts as lost
SYNC = "look with hw4 leaderboard sync before you send it again"


@dataclass(frozen=True)
class Quota:
    """What Kaggle still allows this team today (its days are UTC's)."""

    today: int
    left: int
    total: int
    limited_by_total: bool

    def check(self) -> None:
        """Raise QuotaError where none is left."""
        if self.left > 0:
            return
        if self.limited_by_total:
            raise QuotaError(f"all {self.total} submissions of this competition are used up")
        wait = until_midnight(datetime.now(UTC))
        raise QuotaError(
            f"today's submissions are used up ({self.today} sent)",
            f"the next ones come at 00:00 UTC, in {wait}: run the same command then",
        )


def until_midnight(now: datetime) -> str:
    """How long the day of `now` still lasts, as 3 h 12 min."""
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = -(-(tomorrow - now).seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min"


def quota(kaggle: Connection) -> Quota:
    with kaggle_errors(kaggle.competition):
        limits = kaggle.api.competition_get_submission_limits(kaggle.competition)
    return Quota(
        limits.num_today, limits.num_allowed_now, limits.num_total, bool(limits.limited_by_total)
    )


def list_submissions(kaggle: Connection) -> list[Listed]:
    """All submissions of this team, newest first."""
    submissions: dict[str, Listed] = {}  # by reference
    for page in range(1, 100):
        with kaggle_errors(kaggle.competition):
            rows = kaggle.api.competition_submissions(
                kaggle.competition, page_number=page, page_size=PAGE
            )
        rows = rows or []
        listed = (_listed(row) for row in rows if row is not None)
        new = {row.ref: row for row in listed if row.ref not in submissions}
        submissions |= new
        if not new or len(rows) < PAGE:
            break
    return list(submissions.values())


def _listed(row: Any) -> Listed:
    return Listed(
        file=row.file_name or "",
        public=number(row.public_score),
        private=number(row.private_score),
        ref=str(row.ref),
        date=row.date.isoformat()[:19] if row.date else "",
        message=row.description or "",
        status=row.status.name.lower(),
        error=" ".join((row.error_description or "").split()),
    )


def find(rows: Iterable[Listed], path: Path, message: str) -> Listed | None:
    """The submission of this file: its message carries the beginning of the file's sha256."""
    return next((row for row in rows if (row.file, row.message) == (path.name, message)), None)


def upload(kaggle: Connection, path: Path, message: str, before: Iterable[Listed]) -> Listed:
    """Upload `path` and return it as the board then lists it; `before` is its list until now.

    The client calls some failed uploads a success, and a connection that breaks while it waits
    for an answer says nothing: only the list is evidence. Raises BoardError where the submission
    is not in it.
    """
    try:
        with kaggle_errors(kaggle.competition):
            answer = kaggle.api.competition_submit(
                str(path), message, kaggle.competition, quiet=True
            ).message
    except BoardError as error:
        if not error.uncertain:
            raise
        answer = str(error)
    try:
        listed = _find_new(kaggle, path, message, {row.ref for row in before})
    except BoardError as error:
        what = f"nobody knows whether Kaggle has got {path.name}: {error}"
        raise BoardError(what, SYNC) from error
    if listed is None:
        raise BoardError(f"Kaggle has not got {path.name} ({answer or 'no reason given'})", AGAIN)
    return listed


def _find_new(
    kaggle: Connection, path: Path, message: str, before: Collection[str]
) -> Listed | None:
    for pause in pauses(ATTEMPTS):
        new = (row for row in list_submissions(kaggle) if row.ref not in before)
        if listed := find(new, path, message):
            return listed
        time.sleep(pause)
    return None


def wait(kaggle: Connection, sent: Listed, seconds: float, notify: Callable[[str], None]) -> Listed:
    """Ask for the status of `sent` until it has one, or for so many seconds; its newest state."""
    end = time.monotonic() + seconds
    for pause in pauses():
        if sent.status != "pending" or time.monotonic() + pause > end:
            break
        notify(f"{sent.file}: {sent.status}")
        time.sleep(pause)
        try:
            rows = list_submissions(kaggle)
        except BoardError as error:  # it has arrived; a broken connection now loses nothing
            notify(str(error))
            continue
        sent = next((row for row in rows if row.ref == sent.ref), sent)
    return sent


def pauses(count: int | None = None) -> Iterator[float]:
    """Seconds between two requests: half a second first, a quarter of a minute at most."""
    pause, given = 0.5, 0
    while count is None or given < count:
        yield pause
        pause, given = min(2 * pause, 15.0), given + 1
