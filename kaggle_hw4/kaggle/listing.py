"""A board's list of submissions, from wherever it comes: the API, a CSV, a copied web page."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.artifact import read_file
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.events import Half

FORMATS = (
    "give the client's listing (kaggle competitions submissions -v), "
    "the table copied from the Submissions page, or lines of file,private,public"
)
FILE = re.compile(r"[^\s/]+\.(?:csv|zip|gz|7z)", re.IGNORECASE)
SCORE = re.compile(r"[01]?\.\d+|[01]")
CLIENT = re.compile(r"^(?:ref,)?fileName,", re.MULTILINE)


@dataclass(frozen=True)
class Listed:
    """One submission as a board lists it; what the list does not say is empty."""

    file: str
    public: float | None = None
    private: float | None = None
    ref: str = ""
    date: str = ""  # UTC, as 2022-04-01T12:00:00
    message: str = ""
    status: str = "complete"  # or pending, or error
    error: str = ""  # the board's own words

    def score(self, half: Half) -> float | None:
        return self.public if half == "public" else self.private


def read_listing(path: Path) -> list[Listed]:
    """The submissions in `path`, in its order. Raises DataError where it holds none."""
    try:
        text = read_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", FORMATS) from error
    try:
        rows = from_client(text) or from_columns(text) or from_page(text)
    except csv.Error as error:  # a field of more than 131,072 characters
        raise DataError(f"{path} cannot be read ({error})", FORMATS) from error
    if not rows:
        raise DataError(f"{path} holds no submissions", FORMATS)
    if wrong := [row for row in rows if not _plausible(row)]:
        raise DataError(f"{path}: {wrong[0].file}: a score is between 0 and 1", FORMATS)
    return rows


def from_client(text: str) -> list[Listed]:
    """The official client's CSV, also with its warnings above."""
    start = CLIENT.search(text)
    if not start:
        return []
    rows = csv.DictReader(io.StringIO(text[start.start() :], newline=""))
    return [
        Listed(
            file=row["fileName"],
            public=number(row.get("publicScore")),
            private=number(row.get("privateScore")),
            ref=row.get("ref") or "",
            date=(row.get("date") or "").replace(" ", "T")[:19],
            message=row.get("description") or "",
            status=(row.get("status") or "complete").rpartition(".")[2].lower(),
        )
        for row in rows
        if row.get("fileName")
    ]


def from_columns(text: str) -> list[Listed]:
    """Lines of file,private,public; a header may name the columns in another order."""
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    header: Sequence[str] = ("file", "private", "public")
    if rows and {cell.strip().lower() for cell in rows[0]} >= {"file", "public"}:
        header, rows = [cell.strip().lower() for cell in rows[0]], rows[1:]
    if any(len(row) != len(header) for row in rows):
        return []
    named = [dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in rows]
    if any(not _is_score(row.get(half, "")) for row in named for half in ("public", "private")):
        return []
    return [
        Listed(row["file"], number(row.get("public")), number(row.get("private"))) for row in named
    ]


def from_page(text: str) -> list[Listed]:
    """The table of the web page, copied: a file's name, words about it, then its scores.

    Once the private scores are out, they stand before the public ones.
    """
    cells = [cell.strip() for cell in re.split(r"[\t\n\r]+", text)]
    blocks: list[list[str]] = []
    for cell in cells:
        if FILE.fullmatch(cell):
            blocks.append([cell])
        elif blocks:
            blocks[-1].append(cell)
    return [_block(cells) for cells in blocks]


def _block(cells: list[str]) -> Listed:
    scores = [float(cell) for cell in cells[1:] if SCORE.fullmatch(cell)]
    words = " ".join(cell for cell in cells[1:] if cell and not SCORE.fullmatch(cell))
    status = "error" if re.match(r"error", words, re.IGNORECASE) else "complete"
    private = scores[0] if len(scores) > 1 else None
    public = scores[1] if len(scores) > 1 else scores[0] if scores else None
    return Listed(
        cells[0], public, private, status=status, message=words, error=words * (status == "error")
    )


def number(text: str | None) -> float | None:
    """A score as the board writes it; an empty one is not out yet."""
    try:
        return float(text) if text and text.strip() else None
    except ValueError:
        return None


def _is_score(text: str) -> bool:
    return not text or number(text) is not None


def _plausible(row: Listed) -> bool:
    return all(score is None or 0 <= score <= 1 for score in (row.public, row.private))
