"""How validation has tracked the board so far, and what it says of a submission not yet sent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kaggle_hw4.competition import Edition
from kaggle_hw4.kaggle.leaderboard import cv_by_kind, standard_error
from kaggle_hw4.kaggle.ledger import Entry

KINDS = ("session", "utterance")
FEW = 5  # pairs under which a correlation or a gap says nothing
OWN = 3  # pairs from which one's own gap forecasts better than other people's

Pairs = Sequence[tuple[float, float]]  # (validation, score)


def pairs_of(entries: Iterable[Entry], kind: str, half: str) -> list[tuple[float, float]]:
    """(Validation by `kind`, score on that half of Kaggle's board) of all that have both."""
    found = []
    for entry in entries:
        cv = validation((entry.created or {}).get("cv")).get(kind)
        score = entry.scores.get("kaggle", {}).get(half)
        if cv is not None and score is not None:
            found.append((cv, float(score)))
    return found


def validation(cv: Any) -> dict[str, float]:
    """The accuracy out of fold by each kind of folds."""
    known = cv_by_kind(cv).items()
    return {kind: float(one["accuracy"]) for kind, one in known if "accuracy" in one}


def tracking(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """For each kind of validation and half of the board: rank correlation and gap, or None."""
    found = []
    for kind in KINDS:
        for half in ("public", "private"):
            pairs = pairs_of(entries, kind, half)
            said = {"kind": kind, "half": half, "n": len(pairs)}
            few = len(pairs) < FEW
            found.append(
                said
                | {"spearman": None if few else spearman(pairs), "gap": None if few else gap(pairs)}
            )
    return found


def spearman(pairs: Pairs) -> dict[str, float] | None:
    """Rank correlation and its 95 % interval (Bonett and Wright 2000); None where all tie."""
    from scipy.stats import spearmanr

    cv, score = np.array(pairs).T
    if len(set(cv)) == 1 or len(set(score)) == 1:
        return None
    r = float(spearmanr(cv, score).statistic)
    half = 1.96 * np.sqrt((1 + r**2 / 2) / (len(pairs) - 3))
    centre = np.arctanh(np.clip(r, -0.999999, 0.999999))
    low, high = np.tanh([centre - half, centre + half])
    return {"value": r, "low": float(low), "high": float(high)}


def gap(pairs: Pairs) -> dict[str, float]:
    """Mean of validation less score, and its 95 % interval (Student's t)."""
    from scipy.stats import t

    gaps = np.array([cv - score for cv, score in pairs])
    half = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps))
    mean = float(gaps.mean())
    return {"value": mean, "low": mean - float(half), "high": mean + float(half)}


def forecast(entries: Sequence[Entry], cv: Any, edition: Edition | None) -> dict[str, Any] | None:
    """The public score to expect of a submission with this validation, and of what it will pass.

    From the gaps of one's own scored submissions, by session before by utterance; with fewer than
    three of those, from the edition's public solutions, which all validated by utterance. None:
    nothing to go by, or the corpus is no edition of the competition.
    """
    if edition is None:
        return None
    known = validation(cv)
    for kind in (kind for kind in KINDS if kind in known):
        pairs = pairs_of(entries, kind, "public")
        if len(pairs) >= OWN:
            based_on = f"the gaps of your {len(pairs)} scored submissions"
            found = _forecast(entries, known[kind], pairs, edition)
            return {"kind": kind, "own": True, "based_on": based_on, **found}
    if "utterance" in known and edition.known_results:
        based_on = f"the gaps of {len(edition.known_results)} public solutions"
        found = _forecast(entries, known["utterance"], edition.known_results, edition)
        return {"kind": "utterance", "own": False, "based_on": based_on, **found}
    return None


def _forecast(
    entries: Sequence[Entry], cv: float, pairs: Pairs, edition: Edition
) -> dict[str, Any]:
    from scipy.stats import t

    gaps = np.array([a - b for a, b in pairs])
    value = float(np.clip(cv - gaps.mean(), 0.0, 1.0))
    # However even the gaps, no forecast is sharper than the board itself.
    spread = max(float(gaps.std(ddof=1)), standard_error(value, edition.board_rows))
    scale = spread * np.sqrt(1 + 1 / len(gaps))
    freedom = len(gaps) - 1
    half = float(t.ppf(0.975, freedom) * scale)
    goal, score = next_goal(entries, edition)
    return {
        "public": value,
        "low": max(value - half, 0.0),
        "high": min(value + half, 1.0),
        "goal": goal,
        "goal_score": score,
        "chance": float(t.sf((score - value) / scale, freedom)) if scale else float(value >= score),
    }


def next_goal(entries: Iterable[Entry], edition: Edition) -> tuple[str, float]:
    """The lowest baseline that no submission has passed yet; after the last, one's own best."""
    publics = [e.scores.get("kaggle", {}).get("public") for e in entries]
    best = max((p for p in publics if p is not None), default=0.0)
    ahead: Mapping[str, float] = {name: s for name, s in edition.baselines.items() if s > best}
    return next(iter(ahead.items())) if ahead else ("your best", best)
