"""What the answers to so many utterances can say of a model, and of the difference of two.

A session held out takes more utterances from one speaker than from another, and leaves him fewer to
be trained on: were every utterance to count the same, those who were left the least would be heard
the most, and a validation by session promises less than the test set keeps. There, everyone has as
many. So every speaker counts the same in every fold (docs/LOG.md, 2026-11-25).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Z = 1.96  # 95 %
ROUNDS = 2000  # of the bootstrap


def balanced_weights(speaker: Array, fold: Array | None = None) -> Floats:
    """Weights (n,) that give every `speaker` (n,) the same weight of 1 in every `fold` (n,)."""
    cells = speaker if fold is None else speaker * (fold.max() + 1) + fold
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[cell])


@dataclass(frozen=True)
class Evaluation:
    """What a model gets right of one set, every speaker counting the same."""

    accuracy: float
    loss: float  # cross-entropy, nat
    n: int  # utterances


def evaluate(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Evaluation:
    """Accuracy and cross-entropy (nat) of plain logits (n, C) of one fold: no margin, no smoothing;
    every speaker of `labels` (n,) counts the same.
    """
    weights, own = balanced_weights(labels), (np.arange(len(labels)), labels)
    return Evaluation(
        accuracy=float(np.average(logits.argmax(1) == labels, weights=weights)),
        loss=float(np.average(-log_softmax(logits, axis=1)[own], weights=weights)),
        n=len(labels),
    )


def accuracy(right: Array, speaker: Array, fold: Array | None = None) -> dict[str, float]:
    """Accuracy of `right` (n,), every speaker counting the same in every fold, its standard error
    and its 95 % interval (Wilson 1927).

    A speaker's utterances are won and lost together: the error is that of as many utterances drawn
    one by one as tell no more than these do (Korn and Graubard 1998), speakers being drawn whole.
    """
    weights = balanced_weights(speaker, fold)
    p = float(np.average(right, weights=weights))
    n = effective_sample_size(right, speaker, weights)
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    error = float(np.sqrt(p * (1 - p) / n))
    interval = {"low": float(centre - half), "high": float(centre + half)}
    return {"accuracy": p, "standard_error": error, **interval, "n": len(right)}


def effective_sample_size(right: Array, speaker: Array, weights: Floats) -> float:
    """How many utterances drawn one by one would tell as much of the weighted mean of `right`."""
    _, who = np.unique(speaker, return_inverse=True)
    p = np.average(right, weights=weights)
    residuals = np.bincount(who, weights * (right - p))
    speakers, total = len(residuals), weights.sum()
    alone = total**2 / np.square(weights).sum()  # Kish (1965): for the weights by themselves
    if speakers < 2 or not residuals.any():
        return float(alone)
    variance = speakers / (speakers - 1) * np.square(residuals).sum() / total**2
    return float(min(alone, p * (1 - p) / variance))


def paired(
    ours: Array, theirs: Array, speaker: Array, fold: Array | None = None
) -> dict[str, float]:
    """The difference in accuracy of two predictions of the same rows: all arrays (n,).

    Its 95 % interval is a bootstrap over whole speakers (Efron 1979), since the utterances of one
    speaker are won and lost together; `p` is the exact test of McNemar (1947), row by row.
    """
    from scipy.stats import bootstrap

    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    weights, gain = balanced_weights(speaker, fold), ours.astype(float) - theirs.astype(float)
    difference = float(np.average(gain, weights=weights))
    found = {"difference": difference, "won": won, "lost": lost, "n": len(ours)}
    _, who = np.unique(speaker, return_inverse=True)
    totals = np.bincount(who, weights)
    gains = np.bincount(who, weights * gain)
    if not won + lost or len(totals) < 2:
        unknown = 0.0 if not won + lost else 1.0
        error = {"low": -unknown, "high": unknown, "standard_error": unknown}
        return found | error | {"p": mcnemar(won, lost)}
    drawn = bootstrap(
        (gains, totals),
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
