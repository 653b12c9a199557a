"""The submission CSV: written once under a new version, read back, checked row by row."""

import csv
import hashlib
import io
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from kaggle_hw4.artifact import read_file, write_text
from kaggle_hw4.errors import DataError, UsageError
from kaggle_hw4.kaggle.ledger import Ledger

HEADER = ("Id", "Category")
LABEL = r"^[A-Za-z0-9][A-Za-z0-9+_.-]*$"
VERSION = r"_V([0-9]{1,250})(?![0-9])"  # a number of more digits can name no file
SHOWN = 5  # problems of one kind that are listed

Row = tuple[int, str, str]  # its number in the file (the header is row 1), Id, Category


@dataclass(frozen=True)
class Submission:
    """One file and its version, such as Strong+Boss_V3, which is never used again."""

    version: str
    path: Path
    sha256: str


def check_label(label: str) -> str:
    """`label`; UsageError where it cannot be part of a file's name."""
    if not re.fullmatch(LABEL, label):
        raise UsageError(
            f"label {label!r} cannot name a file",
            "a label is made of letters, digits, +, -, _ and .",
            parameter="label",
        )
    return label


def write_submission(
    folder: Path, label: str, ids: Sequence[str], speakers: Sequence[str]
) -> Submission:
    """Write `output_<label>_V<n>.csv`, n above every n that this label has ever had here.

    Raises UsageError for a label that cannot be part of a file's name.
    """
    check_label(label)
    text = _text(ids, speakers)
    ledger = Ledger(folder)
    with ledger.locked():
        for number in count(1 + _largest_number(ledger, label)):
            version = f"{label}_V{number}"
            path = path_of(folder, version)
            with suppress(FileExistsError):  # by a name that this disk takes for the same
                sha256 = write_text(path, text, replace=False)
                return Submission(version, path, sha256)
    raise AssertionError("there is always a next number")


def find_unrecorded(
    folder: Path, label: str, ids: Sequence[str], speakers: Sequence[str]
) -> Submission | None:
    """The file of this label with just these rows that the ledger knows nothing of.

    An ensemble that was killed leaves one; None where there is none.
    """
    data = _text(ids, speakers).encode()
    known = {event.version for event in Ledger(folder).events()}
    for path in sorted(folder.glob("output_*.csv")):
        version = version_of(path)
        if version in known or not re.fullmatch(re.escape(label) + VERSION, version):
            continue
        with suppress(OSError):
            if path.stat().st_size == len(data) and read_file(path) == data:
                return Submission(version, path, hashlib.sha256(data).hexdigest())
    return None


def _text(ids: Sequence[str], speakers: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(zip(ids, speakers, strict=True))
    return text.getvalue()


def path_of(folder: Path, version: str) -> Path:
    return folder / f"output_{version}.csv"


def version_of(path: Path) -> str:
    """The version in a file's name: Boss_V2 for output_Boss_V2.csv."""
    return path.name.removeprefix("output_").removesuffix(".csv")


def read_submission(path: Path, what: str = "submission") -> list[tuple[str, str]]:
    """The rows (Id, Category). `what` names the file in the DataError where it is no such table."""
    header, *body = _table(path, what)
    problems = _header_problems(header) + _shape_problems(body)
    if problems:
        raise DataError(f"{path}: the {what} is not a table of Id,Category", problems=problems)
    return [(row[0], row[1]) for row in body]


def check_submission(path: Path, test_ids: Sequence[str], speakers: Collection[str]) -> list[str]:
    """Everything that Kaggle would refuse or score as wrong, one line each; [] when it is valid."""
    try:
        header, *body = _table(path, "submission")
    except DataError as error:
        return [str(error)]
    rows = [(n, row[0], row[1]) for n, row in enumerate(body, start=2) if len(row) == 2]
    problems = _header_problems(header)
    if len(body) != len(test_ids):
        problems.append(f"found {len(body)} rows after the header, expected {len(test_ids)}")
    problems += _shape_problems(body) + _id_problems(rows, test_ids)
    if not problems:  # otherwise one missing row would put every later one out of order
        problems = _order_problems(rows, test_ids)
    return problems + _label_problems(rows, set(speakers))


def _largest_number(ledger: Ledger, label: str) -> int:
    """The largest n of this label; in any case, since some disks take Boss and boss for one."""
    versions = [version_of(path) for path in ledger.folder.glob("output_*")]
    versions += [event.version for event in ledger.events()]
    pattern = re.compile(re.escape(label) + VERSION, re.IGNORECASE)
    numbers = (int(match[1]) for name in versions if (match := pattern.match(name)))
    return max(numbers, default=0)


def _table(path: Path, what: str) -> list[list[str]]:
    """Every row, the header first (an empty file has an empty header)."""
    try:
        text = read_file(path).decode("utf-8")
        return list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except FileNotFoundError as error:
        raise DataError(f"{path}: the {what} is missing") from error
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is not UTF-8, expected plain UTF-8"
        raise DataError(f"{path}: {problem}") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: the {what} cannot be read ({error})") from error


def _header_problems(header: list[str]) -> list[str]:
    if tuple(header) == HEADER:
        return []
    line, expected = ",".join(header), ",".join(HEADER)
    mark = " (a byte order mark before it)" if line.startswith("\ufeff") else ""
    return [f"row 1: found {line!r}{mark}, expected {expected!r}"]


def _shape_problems(body: list[list[str]]) -> list[str]:
    wrong = [(n, ",".join(row)) for n, row in enumerate(body, start=2) if len(row) != 2]
    return _first_few(
        [f"row {n}: found {row!r}, expected an Id and a Category" for n, row in wrong]
    )


def _id_problems(rows: list[Row], test_ids: Sequence[str]) -> list[str]:
    expected, seen = set(test_ids), dict[str, int]()
    unknown, again = [], []
    for number, name, _ in rows:
        if name not in expected:
            unknown.append(f"row {number}: found Id {name!r}, expected one of the test set")
        elif name in seen:
            again.append(f"row {number}: found Id {name!r} again, it is in row {seen[name]} too")
        seen.setdefault(name, number)
    missing = [
        f"Id {name!r} is missing, expected in row {number}"
        for number, name in enumerate(test_ids, start=2)
        if name not in seen
    ]
    return _first_few(unknown) + _first_few(again) + _first_few(missing)


def _order_problems(rows: list[Row], test_ids: Sequence[str]) -> list[str]:
    pairs = zip(rows, test_ids, strict=True)
    return _first_few(
        [
            f"row {n}: found Id {name!r}, expected {expected!r}"
            for (n, name, _), expected in pairs
            if name != expected
        ]
    )


def _label_problems(rows: list[Row], speakers: set[str]) -> list[str]:
    wrong = [(n, label) for n, _, label in rows if label not in speakers]
    expected = f"expected one of the {len(speakers)} speakers"
    return _first_few([f"row {n}: found Category {label!r}, {expected}" for n, label in wrong])


def _first_few(problems: list[str]) -> list[str]:
    """The first few of a kind, and how many more there are."""
    more = len(problems) - SHOWN
    return problems if more <= 0 else [*problems[:SHOWN], f"… and {more} more rows like that"]
