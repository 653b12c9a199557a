"""Which differences between two scores on Kaggle's board are more than noise."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kaggle_hw4.competition import Edition, destination
from kaggle_hw4.errors import DataError
from kaggle_hw4.kaggle.leaderboard import label_of
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.kaggle.submissions import path_of, read_submission

HALVES = ("public", "private")
# Of the rows that two submissions answer differently, a better one seldom wins more than two in
# three of those that either has right.
WON = 2 / 3


def differing(folder: Path, one: str, other: str) -> tuple[int, int] | None:
    """Rows that two versions answer differently, of how many; None without both files."""
    try:
        ours, theirs = (dict(read_submission(path_of(folder, v))) for v in (one, other))
    except DataError:
        return None
    if not ours or set(ours) != set(theirs):
        return None
    return sum(ours[i] != theirs[i] for i in ours), len(ours)


def cannot_be_told_apart(rows: int, total: int) -> bool:
    """Whether a score on half of `total` rows can hardly show a difference in `rows` of them.

    d rows that differ there move the score by at most (2·WON - 1)·d, by noise alone by 1.96·√d.
    """
    d = rows / 2 if total else 0
    return (2 * WON - 1) * d < 1.96 * math.sqrt(d) or rows == 0


def difference(
    folder: Path, better: Entry, worse: Entry, edition: Edition | None
) -> dict[str, Any] | None:
    """How far `better` is above `worse` on all halves that both have, with its 95 % interval.

    Paired where both files are there. Otherwise as if the two had nothing in common, which makes
    the interval too wide rather than too narrow. None without a common half.
    """
    one, other = (entry.scores.get("kaggle", {}) for entry in (better, worse))
    both = [h for h in HALVES if one.get(h) is not None and other.get(h) is not None]
    if not both:
        return None
    n = destination(edition).board_rows * len(both)
    ours, theirs = (sum(s[h] for h in both) / len(both) for s in (one, other))
    found = differing(folder, better.version, worse.version)
    gap = ours - theirs
    if found:
        variance = max(found[0] / found[1] - gap**2, 0.0) / n
    else:
        variance = (ours * (1 - ours) + theirs * (1 - theirs)) / n
    half = 1.96 * math.sqrt(variance)
    return {
        "better": better.version,
        "worse": worse.version,
        "difference": gap,
        "low": gap - half,
        "high": gap + half,
        "halves": both,
        "paired": found is not None,
        "clear": gap > half,
    }


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Those with a public score on Kaggle's board, best first."""
    scored = [e for e in entries if e.scores.get("kaggle", {}).get("public") is not None]
    return sorted(scored, key=lambda e: -float(e.scores["kaggle"]["public"]))


def neighbours(
    folder: Path, entries: Sequence[Entry], edition: Edition | None
) -> list[dict[str, Any]]:
    """Each submission on the board against the next below it."""
    return _successive(folder, ranked(entries), edition)


def labels(folder: Path, entries: Sequence[Entry], edition: Edition | None) -> list[dict[str, Any]]:
    """The best submission of each label against the best of the next: where labels differ."""
    best: dict[str, Entry] = {}
    for entry in ranked(entries):
        best.setdefault(label_of(entry), entry)
    return _successive(folder, list(best.values()), edition)


def _successive(
    folder: Path, order: Sequence[Entry], edition: Edition | None
) -> list[dict[str, Any]]:
    pairs = (difference(folder, a, b, edition) for a, b in pairwise(order))
    return [pair for pair in pairs if pair]
