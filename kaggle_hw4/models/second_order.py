"""Second-order statistics of an utterance's bands: they describe its voice, not its channel.

How strongly each band varies, how fast, and how the bands vary together tells much of who speaks
(Bimbot et al. 1995), and a channel that adds a constant to every log-mel band changes none of it.
Both classes have embeddings as a model has: two coordinates of the same covariance. Correlations
are robust, and better for few utterances of a speaker; the logarithm of the matrix, in which all
bands act together, is better for many (docs/LOG.md).
"""

import torch
from torch import Tensor

from kaggle_hw4.padding import Mask, mean_of

LAG = 2  # frames of the differences
SMALLEST = 1e-3  # standard deviation, in nepers: of bands that do not vary
LARGEST = 0.999  # correlation in size: Fisher's z of 1 is infinite
RIDGE = 0.1  # of the mean variance, added to all: what the smallest eigenvalues are is noise


class SecondOrder:
    """A number for each pair of bands, and two for each band."""

    def __init__(self, n_mels: int) -> None:
        self.d_embedding = 2 * n_mels + n_mels * (n_mels - 1) // 2


class BandCorrelations(SecondOrder):
    """Standard deviations, correlations and speeds of the bands."""

    def embed(self, features: Tensor, mask: Mask) -> Tensor:
        """Statistics (B, d_embedding) of log-mel bands (B, T, n_mels) over the real frames,
        float32: the logarithms of each band's standard deviation and of its speed, and Fisher's z
        of the correlation of each two bands.
        """
        with torch.autocast(features.device.type, enabled=False):
            covariance = covariance_of(features.float(), mask)
            deviation = deviation_in(covariance)
            correlation = covariance / (deviation.unsqueeze(1) * deviation.unsqueeze(2))
            z = pairs_of(correlation).clamp(-LARGEST, LARGEST).atanh()
            return torch.cat([deviation.log(), log_speed(features.float(), mask), z], 1)


class LogCovariance(SecondOrder):
    """The covariance of the bands in the log-Euclidean metric (Arsigny et al. 2006), and speeds."""

    def embed(self, features: Tensor, mask: Mask) -> Tensor:
        """Statistics (B, d_embedding) of log-mel bands (B, T, n_mels) over the real frames,
        float32: the matrix logarithm of their covariance, an entry for each pair such that
        distances are those of the matrices, and the logarithm of each band's speed.
        """
        with torch.autocast(features.device.type, enabled=False):
            # The CPU has float64, and LAPACK's eigenvalues of so small matrices.
            covariance = covariance_of(features.float(), mask).cpu().double()
            mean = covariance.diagonal(dim1=1, dim2=2).mean(1)
            values, vectors = torch.linalg.eigh(covariance)
            values = values + (RIDGE * mean).clamp_min(SMALLEST**2).unsqueeze(1)
            logarithm = (vectors * values.log().unsqueeze(1)) @ vectors.transpose(1, 2)
            diagonal = logarithm.diagonal(dim1=1, dim2=2)
            # Each pair stands in the matrix twice.
            entries = torch.cat([diagonal, 2**0.5 * pairs_of(logarithm)], 1)
            speed = log_speed(features.float(), mask)
            return torch.cat([entries.to(speed.device, speed.dtype), speed], 1)


def pairs_of(matrices: Tensor) -> Tensor:
    """The entries (B, D (D - 1) / 2) above the diagonal of matrices (B, D, D)."""
    return matrices[:, torch.ones_like(matrices[0], dtype=torch.bool).triu(1)]


def log_speed(x: Tensor, mask: Mask) -> Tensor:
    """Logarithms (B, D) of the standard deviations of x's (B, T, D) differences over LAG frames."""
    pairs = None if mask is None else mask[:, LAG:] & mask[:, :-LAG]
    return deviation_in(covariance_of(x[:, LAG:] - x[:, :-LAG], pairs)).log()


def deviation_in(covariance: Tensor) -> Tensor:
    """The standard deviations (B, D) of covariances (B, D, D), SMALLEST at least."""
    return covariance.diagonal(dim1=1, dim2=2).clamp_min(SMALLEST**2).sqrt()


def covariance_of(x: Tensor, mask: Mask) -> Tensor:
    """Covariances (B, D, D) of x (B, T, D) over the real frames; 0 without any."""
    if x.shape[1] == 0:
        return x.new_zeros(len(x), x.shape[2], x.shape[2])
    real = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
    x = (x - mean_of(x, mask).unsqueeze(1)).masked_fill(~real.unsqueeze(-1), 0)
    return x.transpose(1, 2) @ x / real.sum(1).clamp_min(1)[:, None, None]
