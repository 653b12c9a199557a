"""The logits of a network fused with those of discriminant analyses of second-order statistics.

They fail on different utterances: the statistics describe an utterance as a whole and are
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
from kaggle_hw4.logits import AnyLogits, Floats, LowRankLogits, dense
from kaggle_hw4.run_manifest import FusionWeights

IntArray = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

ROWS = 8192  # enough for three weights
ENTRIES = 2**25  # logits of each kind at the most, where classes are many
START = (0.5, 0.05, 0.05)  # the weights that the search begins with


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

    def logits(self, statistics: Sequence[Tensor]) -> list[Floats]:
        """Those (n, C) that each makes of its statistics (n, D)."""
        pairs = zip(self.both, statistics, strict=True)
        return [analysis.logits(points).numpy() for analysis, points in pairs]


@dataclass(frozen=True)
class Fusion:
    """The analyses, and the weights of their logits and of the network's."""

    analyses: Analyses
    weights: FusionWeights

    @classmethod
    def fit(
        cls, analyses: Analyses, logits: AnyLogits, statistics: Sequence[Tensor], labels: IntArray
    ) -> "Fusion":
        """Of held-out utterances: the network's logits (n, C), both statistics, labels (n,)."""
        most = max(1, min(ROWS, ENTRIES // logits.shape[1]))
        rows = np.arange(0, len(labels), -(-len(labels) // most))
        others = analyses.logits([points[torch.from_numpy(rows)] for points in statistics])
        parts = np.stack([dense(logits[rows]), *others]).astype(np.float64)
        return cls(analyses, likeliest_weights(parts, labels[rows]))

    def fuse(self, logits: AnyLogits, statistics: Sequence[Tensor]) -> AnyLogits:
        """The weighted sum (n, C) of logits (n, C) and of those of both statistics (n, D)."""
        weights = [np.float32(weight) for weight in self.weights.values]
        if not isinstance(logits, LowRankLogits):
            parts = [logits, *self.analyses.logits(statistics)]
            return np.asarray(sum(w * part for w, part in zip(weights, parts, strict=True)))
        # The product of the concatenated factors with the concatenated vectors is the sum.
        [part] = logits.parts
        assert part.vectors is not None
        both = list(zip(self.analyses.both, statistics, strict=True))
        factors = [part.factors, *(analysis.factors(points).numpy() for analysis, points in both)]
        vectors = [part.vectors, *(analysis.vectors.numpy() for analysis, _ in both)]
        weighted = [w * each for w, each in zip(weights, factors, strict=True)]
        return LowRankLogits.of(np.hstack(weighted), np.hstack(vectors))


def likeliest_weights(parts: Doubles, labels: IntArray) -> FusionWeights:
    """The weights, none below 0, with which the sum of three kinds of logits (3, n, C) makes the
    labels (n,) likeliest: the cross-entropy is convex in them.
    """
    own = np.arange(len(labels))

    def loss_and_slope(weights: Doubles) -> tuple[float, Doubles]:
        scores = np.tensordot(weights, parts, 1)
        loss = logsumexp(scores, axis=1) - scores[own, labels]
        expected = (parts * softmax(scores, axis=1)).sum(2)
        return float(loss.mean()), (expected - parts[:, own, labels]).mean(1)

    start, bounds = np.array(START), [(0, None)] * len(START)
    optimum = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    network, correlations, covariances = optimum.tolist()
    return FusionWeights(network=network, correlations=correlations, covariances=covariances)
