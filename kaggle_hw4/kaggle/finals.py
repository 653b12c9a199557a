"""Which two submissions to select for the private board."""

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from kaggle_hw4.competition import Edition, destination
from kaggle_hw4.errors import UsageError
from kaggle_hw4.kaggle.forecast import forecast
from kaggle_hw4.kaggle.leaderboard import label_of, standard_error
from kaggle_hw4.kaggle.ledger import Entry
from kaggle_hw4.kaggle.noise import differing, ranked


def choose(folder: Path, entries: Sequence[Entry], edition: Edition | None) -> dict[str, Any]:
    """The two with the highest expected best private score, and why; private scores are not used.

    Of two pairs that promise the same within a row of the board, the one with two labels wins:
    different models fail on different rows.
    """
    order = ranked(entries)
    if not order:
        raise UsageError("no submission has a public score", "hw4 leaderboard sync, or record")
    expected = expectations(entries, order, edition)
    candidates = [
        {
            "version": entry.version,
            "label": label_of(entry),
            "public": entry.scores["kaggle"]["public"],
            "private": entry.scores["kaggle"].get("private"),
            **expected[entry.version],
        }
        for entry in order
    ]
    if len(order) == 1:
        return {"finals": candidates, "candidates": candidates, "why": ["there is only one"]}
    row = 1 / destination(edition).board_rows
    first, second = max(
        combinations(sorted(candidates, key=lambda c: -c["expected"]), 2),
        key=lambda pair: _promise(folder, pair[0], pair[1], row),
    )
    why = [_why_first(first), _why_second(folder, first, second)]
    return {"finals": [first, second], "candidates": candidates, "why": why}


def expectations(
    entries: Sequence[Entry], order: Sequence[Entry], edition: Edition | None
) -> dict[str, dict[str, float | bool]]:
    """What to expect of every private score: mean, standard deviation, whether CV had a say.

    A public score is drawn towards the mean of all, since the best of many was lucky too (James
    and Stein 1961); validation counts as a second measurement where it has a record.
    """
    publics = [float(entry.scores["kaggle"]["public"]) for entry in order]
    mean = sum(publics) / len(publics)
    rows = destination(edition).board_rows
    noise = max(standard_error(mean, rows), 1 / rows) ** 2
    spread = sum((p - mean) ** 2 for p in publics) / max(len(publics) - 1, 1)
    between = max(spread - noise, noise)
    found: dict[str, dict[str, float | bool]] = {}
    for entry, public in zip(order, publics, strict=True):
        precision = 1 / between + 1 / noise
        total = mean / between + public / noise
        cv = forecast(entries, (entry.created or {}).get("cv"), edition)
        own = cv is not None and bool(cv["own"])
        if cv is not None and own:
            variance = max(((cv["high"] - cv["low"]) / 4) ** 2, noise)
            precision, total = precision + 1 / variance, total + cv["public"] / variance
        # The private half has noise of its own.
        deviation = math.sqrt(1 / precision + noise)
        found[entry.version] = {
            "expected": total / precision,
            "deviation": deviation,
            "cv_counted": own,
        }
    return found


def best_of_two(mean: float, other: float, deviation: float) -> float:
    """E[max] of two normal variables whose difference has this deviation (Clark 1961)."""
    if not deviation:
        return max(mean, other)
    a = (mean - other) / deviation
    density = math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi)
    share = (1 + math.erf(a / math.sqrt(2))) / 2
    return mean * share + other * (1 - share) + deviation * density


def _promise(
    folder: Path, one: dict[str, Any], other: dict[str, Any], row: float
) -> tuple[int, bool, float]:
    deviation = math.hypot(one["deviation"], other["deviation"])
    if found := differing(folder, one["version"], other["version"]):
        deviation *= math.sqrt(min(found[0] / found[1], 1.0))  # what they share, they share
    value = best_of_two(one["expected"], other["expected"], deviation)
    return round(value / row), one["label"] != other["label"], value


def _why_first(first: dict[str, Any]) -> str:
    by = "its public score and its validation" if first["cv_counted"] else "its public score"
    return (
        f"{first['version']}: the highest private score to expect by {by}, "
        f"{first['expected']:.4f} ± {first['deviation']:.4f} after allowing for luck"
    )


def _why_second(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> str:
    if found := differing(folder, first["version"], second["version"]):
        apart = f"it answers {found[0]:,} of {found[1]:,} rows differently"
    elif first["label"] != second["label"]:
        apart = f"another kind of model ({second['label']}, not {first['label']})"
    else:
        apart = "the next best"
    deviation = math.hypot(first["deviation"], second["deviation"])
    wins = (1 + math.erf((second["expected"] - first["expected"]) / deviation / math.sqrt(2))) / 2
    return f"{second['version']}: {apart}; the chance that it ends above the first is {wins:.0%}"
