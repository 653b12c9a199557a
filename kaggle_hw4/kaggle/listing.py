"""A board's list of submissions, from wherever it comes: the API, a CSV, a copied web page.

The header says what a column holds. A list without one is lines of file,private,public. What
cannot be read without doubt is left out and named by its line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kaggle_hw4.artifact import read_file
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.cells import Raw, Record, dates, decode, records, score
from kaggle_hw4.kaggle.events import Half
from kaggle_hw4.kaggle.page import is_page, page_rows

FORMATS = (
    "give the client's listing (kaggle competitions submissions -v), "
    "the table copied from the Submissions page, or lines of file,private,public"
)
ENCODING = "save it as UTF-8 (in a spreadsheet: CSV UTF-8), or as UTF-16"
DELIMITERS = ("\t", ";", ",")
PLAIN = ("file", "private", "public")  # the columns of a list without a header
COLUMNS = {
    "file": ("file", "filename", "version", "submission", "submissionanddescription"),
    "public": ("public", "publicscore", "publicleaderboard"),
    "private": ("private", "privatescore", "privateleaderboard"),
    "ref": ("ref", "reference", "submissionid"),
    "date": ("date", "submitted", "submissiondate", "datetime"),
    "message": ("description", "message", "comment"),
    "status": ("status",),
}
NAMES = {name: column for column, names in COLUMNS.items() for name in names}
SUMMARIES = ("average", "avg", "mean", "median", "total", "sum", "max", "min", "std", "平均")
STATES = {
    "complete": "complete", "completed": "complete", "succeeded": "complete",
    "error": "error", "failed": "error", "cancelled": "error", "canceled": "error",
    "pending": "pending", "running": "pending", "queued": "pending",
}  # fmt: skip


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


@dataclass(frozen=True)
class Listing:
    """The submissions of a file in its order, and each line that was left out, and why."""

    rows: tuple[Listed, ...]
    problems: tuple[str, ...] = ()


def read_listing(path: Path) -> Listing:
    """The submissions in `path`. Raises DataError where it holds none, or cannot be read."""
    try:
        lines = decode(read_file(path)).split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})", FORMATS) from error
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        what = f"{path} cannot be read: line {line} is not {error.encoding.upper()}"
        raise DataError(what, ENCODING) from error
    listing = _listing(_raw(lines, path))
    if not listing.rows:
        raise DataError(f"{path} holds no submissions", FORMATS, listing.problems)
    return listing


def number(text: str | None) -> float | None:
    """A score as the board's API writes it; an empty one is not out yet."""
    try:
        return float(text) if text and text.strip() else None
    except ValueError:
        return None


def _raw(lines: Sequence[str], path: Path) -> list[Raw]:
    """The rows of a table with a header, of a copied page, or of a plain list."""
    for at, line in enumerate(lines):
        for delimiter in DELIMITERS:
            columns = _columns(line, delimiter)
            if not _is_header(columns):
                continue
            if delimiter == "\t" and is_page(lines):
                return page_rows(lines)  # a header in one line above cells in many
            _check_header(columns, path, at + 1)
            above = records(lines[:at], delimiter)
            body = records(lines[at + 1 :], delimiter, at + 2)
            rows = [_named(record, columns) for record in body if _names(record.cells) != columns]
            return [*_above(above), *rows]
    return page_rows(lines) if is_page(lines) else _plain(lines)


def _columns(line: str, delimiter: str) -> tuple[str, ...]:
    """What the cells of a line name: file, public …; an unknown cell is its own text."""
    return _names(next(records([line], delimiter), Record(0, ())).cells)


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    keys = (re.sub(r"[\W_]", "", cell).lower() for cell in cells)
    return tuple(NAMES.get(key, key) for key in keys)


def _is_header(columns: Sequence[str]) -> bool:
    return "file" in columns and bool({"public", "private", "score"} & set(columns))


def _check_header(columns: Sequence[str], path: Path, line: int) -> None:
    """Raises DataError where two columns have one meaning, or a score does not say which it is."""
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in COLUMNS]
    if twice:
        raise DataError(f"{path}: line {line}: two columns are called {twice[0]}", FORMATS)
    if not {"public", "private"} & set(columns):
        what = f"{path}: line {line}: the column score may be the public or the private one"
        raise DataError(what, "call it public or private")


def _above(above: Iterable[Record]) -> Iterator[Raw]:
    """Words above the header are no rows; a line with a score there is one."""
    for record in above:
        if any(re.fullmatch(r"[01]?[.,]\d+", cell) for cell in record.cells):
            yield Raw(record.line, {}, "a row above the header")


def _named(record: Record, columns: Sequence[str]) -> Raw:
    """A record by its columns; one of another width may have its cells in other columns."""
    spare = record.cells[len(columns) :]
    if record.problem or len(record.cells) < len(columns) or any(spare):
        width = f"{len(record.cells)} cells, the header has {len(columns)}"
        return Raw(record.line, {}, record.problem or width)
    return Raw(record.line, dict(zip(columns, record.cells, strict=False)))


def _plain(lines: Sequence[str]) -> list[Raw]:
    """Lines of file,private,public, by the delimiter with which most of them are that."""

    def rows(delimiter: str) -> list[Raw]:
        return [_three(record) for record in records(lines, delimiter)]

    return max(map(rows, DELIMITERS), key=lambda raws: sum(not raw.problem for raw in raws))


def _three(record: Record) -> Raw:
    if record.problem or len(record.cells) != len(PLAIN):
        return Raw(record.line, {}, record.problem or "not file,private,public, and no header")
    raw = Raw(record.line, dict(zip(PLAIN, record.cells, strict=True)))
    return Raw(raw.line, raw.cells, _problem(raw.cells))


def _listing(raws: Sequence[Raw]) -> Listing:
    """Every row read, or named by its line."""
    days = dates([raw.cells.get("date", "") for raw in raws])
    rows, problems = [], []
    for raw, day in zip(raws, days, strict=True):
        if problem := raw.problem or _problem(raw.cells):
            problems.append(f"line {raw.line}: {problem}")
        else:
            rows.append(_listed(raw.cells, day))
    return Listing(tuple(rows), tuple(problems))


def _problem(cells: Mapping[str, str]) -> str:
    """Why a row is no submission; empty where it is one."""
    name = cells.get("file", "")
    if not name:
        return "no name of a submission"
    if "\n" in name or " · " in name:
        return f"{name!r} is more than the name of a file"
    if name.lower() in SUMMARIES:
        return f"{name!r} is no submission"
    try:
        scores = [score(cells.get(half, "")) for half in ("public", "private")]
    except ValueError as error:
        return f"{name}: {error}"
    return _contradiction(name, _state(cells), any(each is not None for each in scores))


def _contradiction(name: str, state: str, scored: bool) -> str:
    if not scored and state not in ("pending", "error"):
        return f"{name}: no score"
    return f"{name}: an error, and a score" if scored and state == "error" else ""


def _state(cells: Mapping[str, str]) -> str:
    """complete, pending or error, of words such as SubmissionStatus.COMPLETE."""
    word = cells.get("status", "").rpartition(".")[2].lower()
    return STATES.get(word, "complete")


def _listed(cells: Mapping[str, str], day: str) -> Listed:
    return Listed(
        file=cells["file"],
        public=score(cells.get("public", "")),
        private=score(cells.get("private", "")),
        ref=cells.get("ref", ""),
        date=day,
        message=cells.get("message", ""),
        status=_state(cells),
        error=cells.get("error", ""),
    )
