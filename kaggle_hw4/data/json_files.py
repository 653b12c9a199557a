"""JSON as people hand it on: any Unicode encoding, whole numbers as floats; and its problems."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from kaggle_hw4.artifact import read_file

Object = dict[str, Any]  # of JSON, unchecked

FEW = 3  # problems of one kind that are listed each
LARGEST_COUNT = 10**9  # of frames or bands: more is no count
# A file name without folders: it cannot point outside the dataset.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.pt")


@dataclass
class Problems:
    """Every problem of a dataset; where many are of one kind, they make one line with a count."""

    first: dict[object, list[str]] = field(default_factory=dict)  # of each kind, FEW at most
    counts: dict[object, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, problem: str, kind: object = None) -> None:
        """Note a problem: the file, the field, the value and what was expected. Problems of the
        same `kind` are counted together; None is a kind of its own.
        """
        kind = problem if kind is None else kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= FEW:
            self.first.setdefault(kind, []).append(problem)

    def __iter__(self) -> Iterator[str]:
        """The lines, in the order of each kind's first problem."""
        for kind, lines in self.first.items():
            if self.counts[kind] <= FEW:
                yield from lines
            else:
                yield f"{lines[0]} (and {self.counts[kind] - 1:,} more of this kind)"


def read_object(path: Path, problems: Problems) -> Object | None:
    """The object in a JSON file of UTF-8, UTF-16 or UTF-32, with or without a BOM; None, and a
    problem added, where there is none. A key that stands twice in an object is a problem, too:
    JSON's readers keep the last and drop the rest without a word.
    """
    twice: list[str] = []
    try:
        value = _read(path, twice)
    except FileNotFoundError:
        problems.add(f"{path.name}: the file is missing")
        return None
    except RecursionError:
        problems.add(f"{path.name}: not readable as JSON (nested too deeply)")
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.add(f"{path.name}: not readable as JSON ({reason})")
        return None
    for key in twice:
        problem = f"{path.name}: the key {key!r:.60} stands twice in an object, expected once"
        problems.add(problem, (path.name, "key twice"))
    if isinstance(value, dict):
        return value
    problems.add(f"{path.name}: found a {type(value).__name__}, expected an object")
    return None


def _read(path: Path, twice: list[str]) -> Any:
    """The value in a JSON file; the keys that stand twice in an object are added to `twice`."""

    def collect(pairs: list[tuple[str, Any]]) -> Object:
        value = dict(pairs)
        if len(value) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice.extend(key for key, times in counts.items() if times > 1)
        return value

    data = read_file(path)
    return json.loads(data.decode(json.detect_encoding(data)), object_pairs_hook=collect)


def whole_number(value: object, least: int = 1) -> int | None:
    """A count from JSON, where 93.0 is 93; None for what is no whole number of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not least <= value <= LARGEST_COUNT or value != int(value):
        return None
    return int(value)


def whole_numbers(values: Iterable[object]) -> list[int | None]:
    """Labels from JSON, from 0; decimal digits in quotes count as the number that they are."""
    return [
        whole_number(int(v) if isinstance(v, str) and re.fullmatch("[0-9]{1,9}", v) else v, 0)
        for v in values
    ]


def file_name(path: object) -> str | None:
    """The file that a feature path means: its last part, in whatever folder below the dataset's
    the path has it; None where that is not plain: an absolute path, `..`, no .pt file.
    """
    if not isinstance(path, str):
        return None
    parsed = PureWindowsPath(path)  # knows `/` and `\\`
    if parsed.drive or parsed.root or ".." in parsed.parts:
        return None
    return parsed.name if PLAIN_NAME.fullmatch(parsed.name) else None
