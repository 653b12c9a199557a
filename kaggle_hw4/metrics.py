"""Accuracies with their uncertainty, and the difference in accuracy of two models.

Every accuracy here is balanced: the macro average over speakers, in every fold. Where whole
sessions are held out, folds hold out more of some speakers' utterances than of others', and leave
those speakers the fewest to train on. If every utterance counted the same, the speakers with the
least training data would count the most, and validation by session would underestimate the accuracy
on the test set, which has about as many utterances of every speaker (docs/LOG.md, 2026-11-25).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaggle_hw4.logits import AnyLogits, blocks

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
    p: float  # two-sided, of no difference


def balanced_weights(speaker: Ints, fold: Ints | None = None) -> Floats:
    """Weights (n,) that sum to 1 over the utterances of each `speaker` (n,) in each `fold` (n,)."""
    cells = speaker if fold is None else speaker * (fold.max() + 1) + fold
    _, cell, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[cell])


def evaluate(logits: AnyLogits, labels: Ints) -> Evaluation:
    """Balanced accuracy and cross-entropy (nat) of one fold's logits (n, C); labels: (n,).

    The logits are plain: without a margin, and the loss is without label smoothing.
    """
    from scipy.special import log_softmax  # a quarter of a second, which listing runs need not take

    correct, logp = np.empty(len(labels), np.bool_), np.empty(len(labels), logits.dtype)
    for rows, block in blocks(logits):
        own = labels[rows]
        correct[rows] = block.argmax(1) == own
        logp[rows] = log_softmax(block, axis=1)[np.arange(len(own)), own]
    weights = balanced_weights(labels)
    return Evaluation(
        accuracy=float(np.average(correct, weights=weights)),
        loss=float(np.average(-logp, weights=weights)),
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

    The standard error is the larger of two: that of a bootstrap over whole speakers (Efron 1979),
    since a speaker's utterances are correlated, and that of the discordant utterances and one more
    (Agresti and Min 2005), since a bootstrap of few of them is overconfident. The 95 % interval and
    the two-sided `p` are normal and follow from it, so that they agree.
    """
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    weights = balanced_weights(speaker, fold)
    gain = weights * (first.astype(np.float64) - second.astype(np.float64))
    difference, error = float(gain.sum() / weights.sum()), 0.0
    if won + lost:
        _, index = np.unique(speaker, return_inverse=True)
        gains, totals = (np.bincount(index, each).astype(np.float64) for each in (gain, weights))
        error = max(_bootstrap_error(gains, totals), _discordance_error(gain, weights))
    return PairedDifference(
        difference=difference,
        won=won,
        lost=lost,
        n=len(first),
        low=max(difference - Z * error, -1.0),
        high=min(difference + Z * error, 1.0),
        standard_error=error,
        p=math.erfc(abs(difference) / error / 2**0.5) if error else 1.0,
    )


def _discordance_error(gain: Floats, weights: Floats) -> float:
    """The standard error of sum(gain) / sum(weights), both (n,), if utterances were independent and
    one more of them, of mean weight, were discordant.
    """
    variance = np.square(gain).sum() + np.square(weights.mean())
    return float(np.sqrt(variance) / weights.sum())


def _bootstrap_error(gains: Floats, weights: Floats) -> float:
    """The standard error of sum(gains) / sum(weights), both (speakers,).

    Of a single speaker nothing is known about others: then it is 1.
    """
    from scipy.stats import bootstrap

    if len(gains) < 2:
        return 1.0
    result = bootstrap(
        (gains, weights),
        lambda g, w, axis: g.sum(axis) / w.sum(axis),
        n_resamples=RESAMPLES,
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(result.standard_error)


def disagreement(predictions: Ints) -> list[list[float]]:
    """The shares (M, M) of utterances that two models label differently; predictions: (M, n)."""
    return [[float((a != b).mean()) for b in predictions] for a in predictions]
