"""Accuracies with their uncertainty, and the difference in accuracy of two models.

Every accuracy here is balanced: the macro average over speakers, in every fold. Where whole
sessions are held out, folds hold out more of some speakers' utterances than of others', and leave
those speakers the fewest to train on. If every utterance counted the same, the speakers with the
least training data would count the most, and validation by session would underestimate the accuracy
on the test set, which has about as many utterances of every speaker (docs/LOG.md, 2026-11-25).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]

Z = 1.96  # standard errors on either side of a 95 % interval
RESAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts one set of utterances."""

    accuracy: float  # balanced, 0 to 1
    loss: float  # cross-entropy, nat
    n: int  # utterances


@dataclass(frozen=True)
class Accuracy:
    """A balanced accuracy (0 to 1) and its uncertainty, with speakers as the sampling unit."""

    accuracy: float
    standard_error: float
    low: float  # of the 95 % interval
    high: float
    n: int  # utterances


@dataclass(frozen=True)
class PairedDifference:
    """The accuracy of a first model minus that of a second one, on the same utterances."""

    difference: float  # of two balanced accuracies, -1 to 1
    won: int  # utterances that only the first model gets right
    lost: int  # utterances that only the second model gets right
    n: int  # utterances
    low: float  # of the 95 % interval
    high: float
    standard_error: float
    p: float  # of McNemar's exact test


def balanced_weights(speaker: Ints, fold: Ints | None = None) -> Floats:
    """Weights (n,) that sum to 1 over the utterances of each `speaker` (n,) in each `fold` (n,)."""
    cells = speaker if fold is None else speaker * (fold.max() + 1) + fold
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[cell])


def evaluate(logits: npt.NDArray[np.float32], labels: Ints) -> Evaluation:
    """Balanced accuracy and cross-entropy (nat) of one fold's logits (n, C); labels: (n,).

    The logits are plain: without a margin, and the loss is without label smoothing.
    """
    weights, true_class = balanced_weights(labels), (np.arange(len(labels)), labels)
    return Evaluation(
        accuracy=float(np.average(logits.argmax(1) == labels, weights=weights)),
        loss=float(np.average(-log_softmax(logits, axis=1)[true_class], weights=weights)),
        n=len(labels),
    )


def accuracy(correct: Bools, speaker: Ints, fold: Ints | None = None) -> Accuracy:
    """The balanced accuracy of predictions that are `correct` (n,) or not; speaker, fold: (n,).

    The utterances of one speaker are not independent. Standard error and 95 % interval (Wilson
    1927) are those of the effective sample size (Korn and Graubard 1998).
    """
    weights = balanced_weights(speaker, fold)
    p = float(np.average(correct, weights=weights))
    n = effective_sample_size(correct, speaker, weights)
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half_width = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return Accuracy(
        accuracy=p,
        standard_error=float(np.sqrt(p * (1 - p) / n)),
        low=float(centre - half_width),
        high=float(centre + half_width),
        n=len(correct),
    )


def effective_sample_size(correct: Bools, speaker: Ints, weights: Floats) -> float:
    """How many independent utterances would give the weighted mean of `correct` its variance.

    correct, speaker, weights: (n,). The variance is that of a sample of whole speakers. Never above
    the effective sample size of the weights alone (Kish 1965).
    """
    _, index = np.unique(speaker, return_inverse=True)
    p = np.average(correct, weights=weights)
    residuals = np.bincount(index, weights * (correct - p))
    speakers, total = len(residuals), weights.sum()
    of_weights = total**2 / np.square(weights).sum()
    if speakers < 2 or not residuals.any():
        return float(of_weights)
    variance = speakers / (speakers - 1) * np.square(residuals).sum() / total**2
    return float(min(of_weights, p * (1 - p) / variance))


def paired(
    first: Bools, second: Bools, speaker: Ints, fold: Ints | None = None
) -> PairedDifference:
    """The difference in accuracy of two models on the same utterances; all arrays are (n,).

    Its 95 % interval and standard error come from a bootstrap over whole speakers (Efron 1979); `p`
    is the exact test of McNemar (1947) over utterances.
    """
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    weights = balanced_weights(speaker, fold)
    gain = weights * (first.astype(np.float64) - second.astype(np.float64))
    _, index = np.unique(speaker, return_inverse=True)
    low, high, error = 0.0, 0.0, 0.0
    if won + lost:
        gains, totals = (np.bincount(index, each).astype(np.float64) for each in (gain, weights))
        low, high, error = _bootstrap(gains, totals)
    return PairedDifference(
        difference=float(gain.sum() / weights.sum()),
        won=won,
        lost=lost,
        n=len(first),
        low=low,
        high=high,
        standard_error=error,
        p=mcnemar(won, lost),
    )


def _bootstrap(gains: Floats, weights: Floats) -> tuple[float, float, float]:
    """95 % interval (low, high) and standard error of sum(gains) / sum(weights), both (speakers,).

    Of a single speaker nothing is known about others: then the interval is -1 to 1.
    """
    from scipy.stats import bootstrap

    if len(gains) < 2:
        return -1.0, 1.0, 1.0
    result = bootstrap(
        (gains, weights),
        lambda g, w, axis: g.sum(axis) / w.sum(axis),
        n_resamples=RESAMPLES,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = (float(bound) for bound in result.confidence_interval)
    return low, high, float(result.standard_error)


def mcnemar(won: int, lost: int) -> float:
    """The p-value of a split at least this uneven, if both are equally good (exact, two-sided)."""
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def disagreement(predictions: Ints) -> list[list[float]]:
    """The shares (M, M) of utterances that two models label differently; predictions: (M, n)."""
    return [[float((a != b).mean()) for b in predictions] for a in predictions]
