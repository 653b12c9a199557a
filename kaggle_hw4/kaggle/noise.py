"""Which differences between two scores on Kaggle's board are more than noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kaggle_hw4.competition import Edition, destination
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.events import HALVES, Half
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.kaggle.submissions import path_of, read_submission

# Of the rows that two submissions answer differently, a better one seldom wins more than two in
# three of those that either has right.
SHARE_WON = 2 / 3


@dataclass(frozen=True)
class Difference:
    """How far one version is above another, as a fraction of the rows, with its 95 % interval."""

    better: str
    worse: str
    difference: float
    low: float
    high: float
    halves: tuple[Half, ...]  # of the board that both have a score on
    paired: bool  # computed from both files: rows that they answer alike do not count
    clear: bool  # more than noise


@dataclass(frozen=True)
class Differing:
    """How many of all rows two versions answer differently."""

    rows: int
    total: int

    @property
    def share(self) -> float:
        return self.rows / self.total


def differing(folder: Path, version: str, other: str) -> Differing | None:
    """The rows that two versions answer differently; None without both files."""
    try:
        first, second = (dict(read_submission(path_of(folder, v))) for v in (version, other))
    except DataError:
        return None
    if not first or set(first) != set(second):
        return None
    return Differing(sum(first[i] != second[i] for i in first), len(first))


def indistinguishable(rows: int) -> bool:
    """Whether a score on half of the test set can hardly show a difference in `rows` of all rows.

    d rows that differ there move the score by at most (2·SHARE_WON - 1)·d; noise alone moves it by
    1.96·√d.
    """
    d = rows / 2
    return (2 * SHARE_WON - 1) * d < 1.96 * math.sqrt(d) or rows == 0


def difference(
    folder: Path, better: Entry, worse: Entry, edition: Edition | None
) -> Difference | None:
    """How far `better` is above `worse` on all halves that both have, with its 95 % interval.

    Paired where both files exist. Otherwise the two are taken as independent, which makes the
    interval too wide rather than too narrow. None without a common half.
    """
    pairs = {half: (better.score(half), worse.score(half)) for half in HALVES}
    both = [(half, a, b) for half, (a, b) in pairs.items() if a is not None and b is not None]
    if not both:
        return None
    n = destination(edition).board_rows * len(both)
    first, second = sum(a for _, a, _ in both) / len(both), sum(b for *_, b in both) / len(both)
    rows = differing(folder, better.version, worse.version)
    gap = first - second
    if rows:
        variance = max(rows.share - gap**2, 0.0) / n
    else:
        variance = (first * (1 - first) + second * (1 - second)) / n
    half_width = 1.96 * math.sqrt(variance)
    return Difference(
        better=better.version,
        worse=worse.version,
        difference=gap,
        low=gap - half_width,
        high=gap + half_width,
        halves=tuple(half for half, *_ in both),
        paired=rows is not None,
        clear=gap > half_width,
    )


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Those with a public score on Kaggle's board, best first."""
    scores = [(score, e) for e in entries if (score := e.score("public")) is not None]
    return [entry for _, entry in sorted(scores, key=lambda pair: -pair[0])]


def neighbours(folder: Path, entries: Sequence[Entry], edition: Edition | None) -> list[Difference]:
    """Each submission on the board against the next below it."""
    return _successive(folder, ranked(entries), edition)


def labels(folder: Path, entries: Sequence[Entry], edition: Edition | None) -> list[Difference]:
    """The best submission of each label against the best of the next: where labels differ."""
    best: dict[str, Entry] = {}
    for entry in ranked(entries):
        best.setdefault(entry.label, entry)
    return _successive(folder, list(best.values()), edition)


def _successive(folder: Path, order: Sequence[Entry], edition: Edition | None) -> list[Difference]:
    pairs = (difference(folder, a, b, edition) for a, b in pairwise(order))
    return [pair for pair in pairs if pair]
