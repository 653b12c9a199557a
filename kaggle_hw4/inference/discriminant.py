"""Linear discriminant analysis of points: a classifier in closed form.

How the utterances of a speaker differ, mostly from session to session, is measured, and distances
are taken in units of that (Fisher 1936; in speaker recognition, within-class covariance
normalisation, Hatch et al. 2006).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SHRINKAGE = 0.05  # towards equal variances without correlation: docs/LOG.md
SMALLEST = 1e-6  # variance within classes, where each has one point


@dataclass(frozen=True)
class Discriminant:
    """Logits and coordinates of points (n, D), both linear in them."""

    centre: Tensor  # (D,)
    scale: Tensor  # (D,)
    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)
    axes: Tensor  # (D, R)

    @classmethod
    def fit(cls, points: Tensor, labels: Tensor, classes: int) -> "Discriminant":
        """Of points (n, D) and their labels (n,), with equal priors; a class without any point is
        as far away as the farthest.
        """
        centre, scale = points.mean(0), points.std(0, correction=0).clamp_min(1e-6)
        z = (points - centre) / scale
        # Class means, and the covariance of what is left within classes.
        counts = torch.bincount(labels, minlength=classes)
        means = z.new_zeros(classes, z.shape[1]).index_add_(0, labels, z)
        means /= counts.clamp_min(1).unsqueeze(1)
        z -= means[labels]
        within = (z.T @ z / len(z)).double()
        variance = within.diagonal().mean().clamp_min(SMALLEST)
        identity = torch.eye(len(within), dtype=within.dtype)
        within = torch.lerp(within, variance * identity, SHRINKAGE)
        # Whitened by it, distances are likelihoods; the means span what tells classes apart.
        root = torch.linalg.cholesky(within)
        white = torch.linalg.solve_triangular(root, means.double().T, upper=False)  # (D, C)
        span, _, _ = torch.linalg.svd(white, full_matrices=False)
        weight, axes = (
            torch.linalg.solve_triangular(root.T, columns, upper=True).float()
            for columns in (white, span)
        )
        bias = -white.square().sum(0).float() / 2
        bias[counts == 0] = bias.min()
        return cls(centre, scale, weight.T.contiguous(), bias, axes)

    def factors(self, points: Tensor) -> Tensor:
        """Factors (n, D + 1) of the logits; `vectors` are the others."""
        z = (points - self.centre) / self.scale
        return torch.cat([z, z.new_ones(len(z), 1)], 1)

    @property
    def vectors(self) -> Tensor:
        """Of the classes: (C, D + 1)."""
        return torch.cat([self.weight, self.bias.unsqueeze(1)], 1)

    def logits(self, points: Tensor) -> Tensor:
        """Log-likelihoods (n, C), less what is the same for all classes."""
        return self.factors(points) @ self.vectors.T

    def coordinates(self, points: Tensor) -> Tensor:
        """Points on the axes (n, R): equal distances are equally likely within a class."""
        return (points - self.centre) / self.scale @ self.axes
