"""The logits of a network fused with those of a discriminant analysis of second-order statistics.

The two fail on different utterances: the statistics describe an utterance as a whole and are
compared in closed form, the network listens to each frame and has to learn from scratch. Their
logits are summed with the two weights that make the fold's validation likeliest: fusion by logistic
regression (Brümmer et al. 2007), which calibrates the sum as well.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor

from kaggle_hw4.inference.discriminant import Discriminant
from kaggle_hw4.logits import AnyLogits, Floats, LowRankLogits, dense
from kaggle_hw4.run_manifest import FusionWeights

IntArray = npt.NDArray[np.int64]

ROWS = 8192  # enough for two weights
START = (0.5, 0.1)  # the weights that the search begins with


@dataclass(frozen=True)
class Fusion:
    """The analysis of the statistics, and the weights of its logits and of the network's."""

    discriminant: Discriminant
    weights: FusionWeights

    @classmethod
    def fit(
        cls, discriminant: Discriminant, logits: AnyLogits, statistics: Tensor, labels: IntArray
    ) -> "Fusion":
        """Of held-out utterances: the network's logits (n, C), statistics (n, D), labels (n,)."""
        rows = np.arange(0, len(labels), -(-len(labels) // ROWS))
        own, y = dense(logits[rows]).astype(np.float64), labels[rows]
        others = discriminant.logits(statistics[torch.from_numpy(rows)]).double().numpy()

        def loss(logarithms: npt.NDArray[np.float64]) -> float:
            network, analysis = np.exp(logarithms)
            scores = network * own + analysis * others
            return float((logsumexp(scores, axis=1) - scores[np.arange(len(y)), y]).mean())

        optimum = minimize(loss, np.log(START), method="Nelder-Mead", options={"xatol": 1e-3})
        network, analysis = np.exp(optimum.x)
        weights = FusionWeights(network=float(network), statistics=float(analysis))
        return cls(discriminant, weights)

    def fuse(self, logits: AnyLogits, statistics: Tensor) -> AnyLogits:
        """The sums (n, C) of logits (n, C) and those of the statistics (n, D), as weighted."""
        network, analysis = self.weights.network, self.weights.statistics
        if not isinstance(logits, LowRankLogits):
            others: Floats = self.discriminant.logits(statistics).numpy()
            return np.asarray(np.float32(network) * logits + np.float32(analysis) * others)
        # The product of the concatenated factors with the concatenated vectors is the sum.
        [part] = logits.parts
        assert part.vectors is not None
        factors = analysis * self.discriminant.factors(statistics)
        return LowRankLogits.of(
            np.hstack([np.float32(network) * part.factors, factors.numpy()]),
            np.hstack([part.vectors, self.discriminant.vectors.numpy()]),
        )
