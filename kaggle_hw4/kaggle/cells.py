"""Text tables as people have them: their encoding, their rows, and what a cell says."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# The longer mark first: UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
EMPTY = ("", "-", "–", "—", "none", "null", "nan", "n/a")  # how programs write no score
SCORE = re.compile(r"(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
TIME = r"(?:[ T,]+(AM|PM|上午|下午)? ?(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d+)?)? ?(AM|PM)?)?"
ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + TIME + r" ?(Z|UTC|[-+]\d\d:?\d\d)?", re.I)
LOCAL = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d\d)" + TIME, re.I)
SERIAL = re.compile(r"[34]\d{4}(?:[.,]\d+)?")  # a spreadsheet's days since 1899-12-30
FIRST_DAY = datetime(1899, 12, 30)


@dataclass(frozen=True)
class Record:
    """A row of a table: its first line in the file, and its cells."""

    line: int
    cells: tuple[str, ...]
    problem: str = ""  # why it is no row


@dataclass(frozen=True)
class Raw:
    """A row by the names of its columns, before any cell is read."""

    line: int
    cells: Mapping[str, str]
    problem: str = ""  # why it is no submission


def decode(data: bytes) -> str:
    """The text of a file, its lines ended by line feeds alone. Raises UnicodeDecodeError.

    UTF-8, or UTF-16 and UTF-32 with a byte order mark or with the NULs of ASCII in them.
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _lines(data[len(mark) :].decode(encoding))
    if data[1:2] == b"\0" and data[:1] != b"\0":
        return _lines(data.decode("utf-16-le"))
    if data[:1] == b"\0" and data[1:2] != b"\0":
        return _lines(data.decode("utf-16-be"))
    return _lines(data.decode("utf-8"))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def records(lines: Sequence[str], delimiter: str, first: int = 1) -> Iterator[Record]:
    """The rows of a CSV, from line number `first` on; a blank one is left out.

    A row that is no CSV (a quote that never ends) is one line with its problem, and the next line
    begins a row again.
    """
    start = 0
    while start < len(lines):
        text = io.StringIO("\n".join(lines[start:]), newline="")
        reader, done = csv.reader(text, delimiter=delimiter, strict=True), 0
        try:
            for row in reader:
                cells = tuple(cell.strip() for cell in row)
                if any(cells):
                    yield Record(first + start + done, cells)
                done = reader.line_num
            return
        except csv.Error as error:
            yield Record(first + start + done, (), f"no row of a table ({error})")
            start += done + 1


def score(text: str) -> float | None:
    """A score as a cell has it, with a point or a decimal comma; None for a cell without one.

    Raises ValueError for anything but a fraction between 0 and 1.
    """
    if text.strip().lower() in EMPTY:
        return None
    if not SCORE.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no score")
    value = float(text.replace(",", "."))
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is no score: a score is between 0 and 1")
    return value


def dates(cells: Sequence[str]) -> list[str]:
    """The cells of one column in UTC, as 2022-04-01T12:00:00; "" for one that cannot be read.

    Whether 4/3/2022 is in April or in March is decided by the other dates of the column; where
    they do not say, it is unknown.
    """
    numeric = [match for cell in cells if (match := LOCAL.fullmatch(cell.strip()))]
    day_first = any(int(match[1]) > 12 for match in numeric)
    month_first = any(int(match[3]) > 12 for match in numeric)
    order = None if day_first == month_first else "day" if day_first else "month"
    return [_date(cell.strip(), order) for cell in cells]


def _date(text: str, order: str | None) -> str:
    try:
        if match := ISO.fullmatch(text):
            year, month, day = (int(match[i]) for i in (1, 3, 4))
            return _utc(datetime(year, month, day) + _time(match, 5), match[10])
        if match := LOCAL.fullmatch(text):
            return _local(match, "day" if match[2] == "." else order)
        if SERIAL.fullmatch(text):
            return _utc(FIRST_DAY + timedelta(days=float(text.replace(",", "."))))
    except (ValueError, OverflowError):  # the 30th of February
        pass
    return ""


def _local(match: re.Match[str], order: str | None) -> str:
    first, second, year = (int(match[i]) for i in (1, 3, 4))
    if order is None and first != second:
        return ""
    day, month = (second, first) if order == "month" else (first, second)
    return _utc(datetime(year + 2000 * (year < 100), month, day) + _time(match, 5))


def _time(match: re.Match[str], at: int) -> timedelta:
    """The time of day: groups half, hour, minute, second, half from `at` on."""
    before, hour, minute, second, after = match.groups()[at - 1 : at + 4]
    half = (before or after or "").upper()
    hours = int(hour or 0)
    if half:
        hours = hours % 12 + 12 * (half in ("PM", "下午"))
    if hours > 23 or int(minute or 0) > 59 or int(second or 0) > 59:
        raise ValueError("no time of day")
    return timedelta(hours=hours, minutes=int(minute or 0), seconds=int(second or 0))


def _utc(time: datetime, zone: str | None = None) -> str:
    if zone and zone.upper() not in ("Z", "UTC"):
        aware = datetime.fromisoformat(f"{time.isoformat()}{zone}")
        time = aware.astimezone(UTC).replace(tzinfo=None)
    return time.isoformat(timespec="seconds")
