"""How validation has tracked the board so far, and what it says of a submission not yet sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_hw4.competition import Edition
from kaggle_hw4.kaggle.events import HALVES, Half, Validation
from kaggle_hw4.kaggle.leaderboard import standard_error
from kaggle_hw4.kaggle.ledger import Entry

KINDS = ("session", "utterance")
FEW = 5  # pairs under which a correlation or a gap says nothing
OWN = 3  # pairs from which one's own gap forecasts better than other people's

Pairs = Sequence[tuple[float, float]]  # (validation, score)


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Tracking:
    """How validation of one kind goes together with one half of Kaggle's board."""

    kind: str
    half: Half
    n: int  # submissions that have both
    spearman: Estimate | None  # rank correlation; None where n is small, or all tie
    gap: Estimate | None  # validation less score; None where n is small


@dataclass(frozen=True)
class Forecast:
    """The public score to expect, its 95 % interval, and the chance to reach `goal`."""

    kind: str  # of the validation that it is based on
    own: bool  # from one's own submissions
    based_on: str
    public: float
    low: float
    high: float
    goal: str
    goal_score: float
    chance: float


def pairs_of(entries: Iterable[Entry], kind: str, half: Half) -> list[tuple[float, float]]:
    """(Validation by `kind`, score on that half of Kaggle's board) of all that have both."""
    both = ((accuracies(entry.cv).get(kind), entry.score(half)) for entry in entries)
    return [(cv, score) for cv, score in both if cv is not None and score is not None]


def accuracies(cv: Iterable[Validation]) -> dict[str, float]:
    """The accuracy out of fold by each kind of folds."""
    return {v.kind: v.accuracy for v in cv if v.accuracy is not None}


def tracking(entries: Sequence[Entry]) -> list[Tracking]:
    """For each kind of validation and half of the board: rank correlation and gap, or None."""
    return [_tracking(entries, kind, half) for kind in KINDS for half in HALVES]


def _tracking(entries: Sequence[Entry], kind: str, half: Half) -> Tracking:
    pairs = pairs_of(entries, kind, half)
    if len(pairs) < FEW:
        return Tracking(kind, half, len(pairs), None, None)
    return Tracking(kind, half, len(pairs), spearman(pairs), gap(pairs))


def spearman(pairs: Pairs) -> Estimate | None:
    """Rank correlation and its 95 % interval (Bonett and Wright 2000); None where all tie."""
    from scipy.stats import spearmanr

    cv, score = np.array(pairs).T
    if len(set(cv)) == 1 or len(set(score)) == 1:
        return None
    r = float(spearmanr(cv, score).statistic)
    half_width = 1.96 * np.sqrt((1 + r**2 / 2) / (len(pairs) - 3))
    centre = np.arctanh(np.clip(r, -0.999999, 0.999999))
    low, high = np.tanh([centre - half_width, centre + half_width])
    return Estimate(r, float(low), float(high))


def gap(pairs: Pairs) -> Estimate:
    """Mean of validation less score, and its 95 % interval (Student's t)."""
    from scipy.stats import t

    gaps = np.array([cv - score for cv, score in pairs])
    half_width = float(t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / np.sqrt(len(gaps)))
    mean = float(gaps.mean())
    return Estimate(mean, mean - half_width, mean + half_width)


def forecast(
    entries: Sequence[Entry], cv: Iterable[Validation], edition: Edition | None
) -> Forecast | None:
    """The public score to expect of a submission with this validation, and the chance of the goal.

    From the gaps of one's own scored submissions, by session before by utterance; with fewer than
    three of those, from the edition's public solutions, which all validated by utterance. None:
    nothing to go by, or the corpus is no edition of the competition.
    """
    source = None if edition is None else _source(entries, accuracies(cv), edition)
    if edition is None or source is None:
        return None
    return _predicted(source, edition, next_goal(entries, edition))


@dataclass(frozen=True)
class _Source:
    """The validation to be turned into a score, and the pairs whose gaps say how."""

    kind: str
    own: bool
    based_on: str
    cv: float
    pairs: Pairs


def _source(
    entries: Sequence[Entry], known: Mapping[str, float], edition: Edition
) -> _Source | None:
    for kind in (kind for kind in KINDS if kind in known):
        pairs = pairs_of(entries, kind, "public")
        if len(pairs) >= OWN:
            based_on = f"the gaps of your {len(pairs)} scored submissions"
            return _Source(kind, True, based_on, known[kind], pairs)
    if "utterance" in known and (published := edition.known_results):
        based_on = f"the gaps of {len(published)} public solutions"
        return _Source("utterance", False, based_on, known["utterance"], published)
    return None


def _predicted(source: _Source, edition: Edition, goal: tuple[str, float]) -> Forecast:
    """Student's prediction interval for one more gap, after those of the source's pairs."""
    from scipy.stats import t

    gaps = np.array([cv - score for cv, score in source.pairs])
    value = float(np.clip(source.cv - gaps.mean(), 0.0, 1.0))
    # However even the gaps, no forecast is sharper than the board itself.
    spread = max(float(gaps.std(ddof=1)), standard_error(value, edition.board_rows))
    scale = spread * np.sqrt(1 + 1 / len(gaps))
    freedom = len(gaps) - 1
    half_width = float(t.ppf(0.975, freedom) * scale)
    name, score = goal
    return Forecast(
        kind=source.kind,
        own=source.own,
        based_on=source.based_on,
        public=value,
        low=max(value - half_width, 0.0),
        high=min(value + half_width, 1.0),
        goal=name,
        goal_score=score,
        chance=float(t.sf((score - value) / scale, freedom)) if scale else float(value >= score),
    )


def next_goal(entries: Iterable[Entry], edition: Edition) -> tuple[str, float]:
    """The lowest baseline that no submission has passed yet; after the last, one's own best."""
    publics = [entry.score("public") for entry in entries]
    best = max((public for public in publics if public is not None), default=0.0)
    ahead = [(name, score) for name, score in edition.baselines.items() if score > best]
    return ahead[0] if ahead else ("your best", best)
