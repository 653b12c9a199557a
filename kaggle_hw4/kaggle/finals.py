"""Which two submissions to select for the private board."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from kaggle_hw4.competition import Edition, destination
from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.forecast import forecast
from kaggle_hw4.kaggle.leaderboard import standard_error
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.kaggle.noise import differing, ranked

SCORES = "`hw4 leaderboard sync` fetches the scores, `hw4 leaderboard record` keeps one"


@dataclass(frozen=True)
class Candidate:
    """A submission with the private score to expect, mean and standard deviation."""

    version: str
    label: str
    public: float
    private: float | None  # not used for the choice
    expected: float
    deviation: float
    cv_counted: bool  # whether validation was used as well as the public score


@dataclass(frozen=True)
class FinalSelection:
    """The one or two submissions to select, among all candidates, and why."""

    finals: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]  # best public score first
    why: tuple[str, ...]


def choose(folder: Path, entries: Sequence[Entry], edition: Edition | None) -> FinalSelection:
    """The two with the highest expected best private score, and why; private scores are not used.

    Of two pairs whose expected best is the same within a row of the board, the one with two labels
    wins: different models fail on different rows. Raises UsageError without a public score.
    """
    candidates = expectations(entries, edition)
    if not candidates:
        raise UsageError("no submission has a public score", SCORES)
    if len(candidates) == 1:
        return FinalSelection(candidates, candidates, ("there is only one",))
    row = 1 / destination(edition).board_rows
    first, second = max(
        combinations(sorted(candidates, key=lambda c: -c.expected), 2),
        key=lambda pair: _value(folder, pair[0], pair[1], row),
    )
    why = (_why_first(first), _why_second(folder, first, second))
    return FinalSelection((first, second), candidates, why)


def expectations(entries: Sequence[Entry], edition: Edition | None) -> tuple[Candidate, ...]:
    """What to expect of every private score, best public score first.

    A public score is shrunk towards the mean of all, since the best of many was lucky too (James
    and Stein 1961); validation counts as a second measurement where it has a record.
    """
    scores = [(entry, p) for entry in ranked(entries) if (p := entry.score("public")) is not None]
    if not scores:
        return ()
    publics = [public for _, public in scores]
    mean = sum(publics) / len(publics)
    rows = destination(edition).board_rows
    noise = max(standard_error(mean, rows), 1 / rows) ** 2
    spread = sum((p - mean) ** 2 for p in publics) / max(len(publics) - 1, 1)
    prior = (mean, max(spread - noise, noise))
    return tuple(_candidate(entries, entry, p, prior, noise, edition) for entry, p in scores)


def _candidate(
    entries: Sequence[Entry],
    entry: Entry,
    public: float,
    prior: tuple[float, float],  # mean and variance of what the private scores measure
    noise: float,  # variance of a score around that
    edition: Edition | None,
) -> Candidate:
    """Means weighted by their precisions: all submissions, the public score, validation."""
    mean, between = prior
    precision = 1 / between + 1 / noise
    total = mean / between + public / noise
    predicted = forecast(entries, entry.cv, edition)
    own = predicted is not None and predicted.own
    if predicted is not None and own:
        variance = max(((predicted.high - predicted.low) / 4) ** 2, noise)
        precision, total = precision + 1 / variance, total + predicted.public / variance
    return Candidate(
        version=entry.version,
        label=entry.label,
        public=public,
        private=entry.score("private"),
        expected=total / precision,
        deviation=math.sqrt(1 / precision + noise),  # the private half has noise of its own
        cv_counted=own,
    )


def best_of_two(mean: float, other: float, deviation: float) -> float:
    """E[max] of two normal variables whose difference has this deviation (Clark 1961)."""
    if not deviation:
        return max(mean, other)
    a = (mean - other) / deviation
    density = math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)
    share = (1 + math.erf(a / math.sqrt(2))) / 2
    return mean * share + other * (1 - share) + deviation * density


def _value(
    folder: Path, first: Candidate, second: Candidate, row: float
) -> tuple[int, bool, float]:
    """What a pair is worth, to be compared: rows of the board, another label, the exact value."""
    deviation = math.hypot(first.deviation, second.deviation)
    if rows := differing(folder, first.version, second.version):
        deviation *= math.sqrt(min(rows.share, 1.0))  # rows in common have their noise in common
    value = best_of_two(first.expected, second.expected, deviation)
    return round(value / row), first.label != second.label, value


def _why_first(first: Candidate) -> str:
    by = "its public score and its validation" if first.cv_counted else "its public score"
    return (
        f"{first.version}: the highest private score to expect by {by}, "
        f"{first.expected:.4f} ± {first.deviation:.4f} after allowing for luck"
    )


def _why_second(folder: Path, first: Candidate, second: Candidate) -> str:
    if rows := differing(folder, first.version, second.version):
        apart = f"it answers {rows.rows:,} of {rows.total:,} rows differently"
    elif first.label != second.label:
        apart = f"another kind of model ({second.label}, not {first.label})"
    else:
        apart = "the next best"
    deviation = math.hypot(first.deviation, second.deviation)
    wins = (1 + math.erf((second.expected - first.expected) / deviation / math.sqrt(2))) / 2
    return f"{second.version}: {apart}; the chance that it ends above the first is {wins:.0%}"
