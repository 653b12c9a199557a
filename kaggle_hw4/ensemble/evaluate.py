"""What an accuracy on so many rows can say, and what a difference of two can."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Z = 1.96  # 95 %
ROUNDS = 2000  # of the bootstrap


def accuracy(right: Array) -> dict[str, float]:
    """Accuracy of `right` (n,), its standard error and its 95 % interval (Wilson 1927)."""
    n = len(right)
    p = float(np.mean(right))
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    error = float(np.sqrt(p * (1 - p) / n))
    interval = {"low": float(centre - half), "high": float(centre + half)}
    return {"accuracy": p, "standard_error": error, **interval, "n": n}


def paired(ours: Array, theirs: Array, speakers: Array) -> dict[str, float]:
    """The difference in accuracy of two predictions of the same rows: all arrays (n,).

    Its 95 % interval is a bootstrap over whole speakers (Efron 1979), since the utterances of one
    speaker are won and lost together; `p` is the exact test of McNemar (1947), row by row.
    """
    from scipy.stats import bootstrap

    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    found = {"difference": (won - lost) / len(ours), "won": won, "lost": lost, "n": len(ours)}
    _, speaker = np.unique(speakers, return_inverse=True)
    counts = np.bincount(speaker)
    gains = np.bincount(speaker, ours.astype(float) - theirs.astype(float))
    if not won + lost or len(counts) < 2:
        unknown = 0.0 if not won + lost else 1.0
        error = {"low": -unknown, "high": unknown, "standard_error": unknown}
        return found | error | {"p": mcnemar(won, lost)}
    drawn = bootstrap(
        (gains, counts),
        lambda g, n, axis: g.sum(axis) / n.sum(axis),
        n_resamples=ROUNDS,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = (float(v) for v in drawn.confidence_interval)
    error = {"low": low, "high": high, "standard_error": float(drawn.standard_error)}
    return found | error | {"p": mcnemar(won, lost)}


def mcnemar(won: int, lost: int) -> float:
    """The chance of a split at least so uneven, were both equally good (exact, two-sided)."""
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def disagreement(predicted: Array) -> list[list[float]]:
    """The share of rows (M, M) that every two of the predictions (M, n) answer differently."""
    return [[float((a != b).mean()) for b in predicted] for a in predicted]
