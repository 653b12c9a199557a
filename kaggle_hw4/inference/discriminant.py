"""Linear discriminant analysis of points: a classifier in closed form.

How the utterances of a speaker differ, mostly from session to session, is measured, and distances
are taken in units of that (Fisher 1936; in speaker recognition, within-class covariance
normalisation, Hatch et al. 2006).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kaggle_hw4.logits import AnyLogits, blocks

SHRINKAGE = 0.05  # towards equal variances without correlation: docs/LOG.md
SMALLEST = 1e-6  # variance within classes, where each has one point
SELF_SHRINKAGE = 0.3  # the same, of points whose classes are but guessed
PRIOR = 2.0  # points that a guessed class has at the centre of all: it may have none


@dataclass(frozen=True)
class Discriminant:
    """Logits and coordinates of points (n, D), both linear in them."""

    centre: Tensor  # (D,)
    scale: Tensor  # (D,)
    weight: Tensor  # (C, D)
    bias: Tensor  # (C,)
    root: Tensor  # (D, D), lower triangular: times its transpose, the covariance within classes

    @classmethod
    def fit(cls, points: Tensor, labels: Tensor, classes: int) -> "Discriminant":
        """Of points (n, D) and their labels (n,), with equal priors; a class without any point is
        as far away as the farthest.
        """
        centre, scale = centre_and_scale(points)
        z = (points - centre) / scale
        # Class means, and the covariance of what is left within classes.
        counts = torch.bincount(labels, minlength=classes)
        means = z.new_zeros(classes, z.shape[1]).index_add_(0, labels, z)
        means /= counts.clamp_min(1).unsqueeze(1)
        z -= means[labels]
        weight, bias, root = solve(means, z.T @ z / len(z), SHRINKAGE)
        bias[counts == 0] = bias.min()
        return cls(centre, scale, weight, bias, root)

    @classmethod
    def fit_guessed(cls, points: Tensor, logits: AnyLogits) -> "Discriminant":
        """Of points (n, D) whose classes are guessed: the softmax of logits (n, C). It is a step of
        expectation maximisation (Dempster et al. 1977), with equal priors.

        A class that hardly any point is guessed to be of has its mean near the centre of all, and
        so attracts none.
        """
        centre, scale = centre_and_scale(points)
        z = (points - centre) / scale
        sums, counts = z.new_zeros(logits.shape[1], z.shape[1]), z.new_zeros(logits.shape[1])
        for rows, block in blocks(logits):
            p = torch.from_numpy(block).softmax(1)
            sums += p.T @ z[rows]
            counts += p.sum(0)
        own = sums / counts.clamp_min(SMALLEST).unsqueeze(1)
        within = (z.T @ z - own.T @ sums) / len(z)
        means = sums / (counts + PRIOR).unsqueeze(1)
        return cls(centre, scale, *solve(means, within, SELF_SHRINKAGE))

    @cached_property
    def axes(self) -> Tensor:
        """Directions (D, R) that tell classes apart, of variance 1 within classes."""
        white = self.root.T @ self.weight.double().T
        span, _, _ = torch.linalg.svd(white, full_matrices=False)
        axes: Tensor = torch.linalg.solve_triangular(self.root.T, span, upper=True).float()
        return axes

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


def centre_and_scale(points: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation (D,) of points (n, D)."""
    return points.mean(0), points.std(0, correction=0).clamp_min(1e-6)


def solve(means: Tensor, within: Tensor, shrinkage: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (C, D) and bias (C,) of log-likelihoods by class means (C, D) and the covariance
    within classes (D, D), and the root of that after shrinkage.
    """
    within = within.double()
    variance = within.diagonal().mean().clamp_min(SMALLEST)
    within = torch.lerp(within, variance * torch.eye(len(within), dtype=within.dtype), shrinkage)
    # Whitened by it, distances are likelihoods.
    root = torch.linalg.cholesky(within)
    white = torch.linalg.solve_triangular(root, means.double().T, upper=False)  # (D, C)
    weight = torch.linalg.solve_triangular(root.T, white, upper=True).float()
    return weight.T.contiguous(), -white.square().sum(0).float() / 2, root
