"""The logits of a network fused with those of discriminant analyses.

They fail on different utterances: second-order statistics describe an utterance as a whole and are
compared in closed form, the network listens to each frame and has to learn from scratch. Their
logits are summed with the weights that make the fold's validation likeliest: fusion by logistic
regression (Brümmer et al. 2007), which calibrates the sum as well. Of the two kinds of statistics
it takes what the corpus at hand is served by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from torch import Tensor

from kaggle_hw4.inference.discriminant import Discriminant
from kaggle_hw4.logits import AnyLogits, LowRankLogits, Part, dense

IntArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Weights = tuple[float, ...]  # of the network's logits, and of each part's

ROWS = 8192  # enough for a few weights
ENTRIES = 2**25  # logits of each kind at the most, where classes are many
START = (0.5, 0.05)  # the weights of a network and of a part that the search begins with


@dataclass(frozen=True)
class Analyses:
    """The discriminant analyses of the band correlations and of the log-covariance."""

    correlations: Discriminant
    covariances: Discriminant

    @classmethod
    def fit(cls, statistics: Sequence[Tensor], labels: Tensor, classes: int) -> "Analyses":
        """Of both statistics, each (n, D), and the labels (n,): see Discriminant.fit."""
        return cls(*(Discriminant.fit(points, labels, classes) for points in statistics))

    @property
    def both(self) -> tuple[Discriminant, Discriminant]:
        return self.correlations, self.covariances

    def parts(self, statistics: Sequence[Tensor]) -> list[Part]:
        """The logits (n, C) that each makes of its statistics (n, D)."""
        pairs = zip(self.both, statistics, strict=True)
        return [part_of(analysis, points) for analysis, points in pairs]


def part_of(analysis: Discriminant, points: Tensor) -> Part:
    """The logits (n, C) of points (n, D)."""
    return Part(analysis.factors(points).numpy(), analysis.vectors.numpy())


def learn_within(
    subsets: Sequence[tuple[IntArray, IntArray]], embeddings: Tensor, guess: AnyLogits
) -> Part:
    """Self-training: the logits (n, C) of an analysis of the embeddings (n, D) themselves, by
    what classes the logits `guess` (n, C) give them; within each of the `subsets`, as in
    `spreading.NeighboursWithin`.

    A network is sure of some utterances of a session. By them, the others in it are classified
    as well, whose embeddings are moved by the session as theirs are.
    """
    fitted = [
        (counted, Discriminant.fit_guessed(embeddings[rows], guess[rows]))
        for rows, counted in subsets
    ]
    # Each subset has columns of its own, which are 0 in the rows of the others.
    width = embeddings.shape[1] + 1
    factors = np.zeros((len(embeddings), len(fitted) * width), np.float32)
    for i, (counted, analysis) in enumerate(fitted):
        own = analysis.factors(embeddings[torch.from_numpy(counted)])
        factors[counted, i * width : (i + 1) * width] = own.numpy()
    return Part(factors, np.hstack([analysis.vectors.numpy() for _, analysis in fitted]))


def fit_weights(logits: AnyLogits, parts: Sequence[Part], labels: IntArray) -> Weights:
    """The likeliest weights of a network's logits (n, C) and of other parts, of held-out
    utterances whose labels (n,) are known.
    """
    most = max(1, min(ROWS, ENTRIES // logits.shape[1]))
    rows = np.arange(0, len(labels), -(-len(labels) // most))
    values = np.stack([dense(logits[rows]), *(part.at(rows) for part in parts)])
    return likeliest_weights(values.astype(np.float64), labels[rows])


def likeliest_weights(parts: Doubles, labels: IntArray) -> Weights:
    """The weights, none below 0, with which the sum of some kinds of logits (k, n, C) makes the
    labels (n,) likeliest: the cross-entropy is convex in them.
    """
    own = np.arange(len(labels))

    def loss_and_slope(weights: Doubles) -> tuple[float, Doubles]:
        scores = np.tensordot(weights, parts, 1)
        loss = logsumexp(scores, axis=1) - scores[own, labels]
        expected = (parts * softmax(scores, axis=1)).sum(2)
        return float(loss.mean()), (expected - parts[:, own, labels]).mean(1)

    start = np.array([START[0], *[START[1]] * (len(parts) - 1)])
    bounds = [(0, None)] * len(start)
    optimum = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return tuple(optimum.x.tolist())


def fuse(logits: AnyLogits, parts: Sequence[Part], weights: Weights) -> AnyLogits:
    """The weighted sum (n, C) of logits (n, C) and of parts; of low rank where the logits are."""
    network, *others = (np.float32(weight) for weight in weights)
    pairs = list(zip(others, parts, strict=True))
    if not isinstance(logits, LowRankLogits):
        terms = [network * logits, *(weight * part.at(slice(None)) for weight, part in pairs)]
        return np.asarray(sum(terms[1:], terms[0]))
    # The product of the concatenated factors with the concatenated vectors is the sum.
    [own] = logits.parts
    assert own.vectors is not None
    every = [(network, own), *pairs]
    factors = [weight * part.factors for weight, part in every]
    vectors = [part.vectors for _, part in every if part.vectors is not None]
    return LowRankLogits.of(np.hstack(factors), np.hstack(vectors), network * logits.offsets)
