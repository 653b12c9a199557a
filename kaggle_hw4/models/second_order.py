"""Second-order statistics of an utterance's bands: they describe its voice, not its channel.

How strongly each band varies, how fast, and how the bands vary together tells much of who speaks
(Bimbot et al. 1995), and a channel that adds a constant to every log-mel band changes none of it.
"""

import torch
from torch import Tensor

from kaggle_hw4.padding import Mask, mean_of

LAG = 2  # frames of the differences
SMALLEST = 1e-3  # standard deviation, in nepers: of bands that do not vary
LARGEST = 0.999  # correlation in size: Fisher's z of 1 is infinite


class SecondOrderStatistics:
    """In the place of a model whose embeddings are these statistics."""

    def __init__(self, n_mels: int) -> None:
        self.d_embedding = 2 * n_mels + n_mels * (n_mels - 1) // 2

    def embed(self, features: Tensor, mask: Mask) -> Tensor:
        """Statistics (B, d_embedding) of log-mel bands (B, T, n_mels) over the real frames,
        float32: the logarithms of each band's standard deviation and of that of its differences
        over LAG frames, and Fisher's z of the correlation of each two bands.
        """
        with torch.autocast(features.device.type, enabled=False):
            x = features.float()
            pairs = None if mask is None else mask[:, LAG:] & mask[:, :-LAG]
            deviation, correlation = moments(x, mask)
            speed, _ = moments(x[:, LAG:] - x[:, :-LAG], pairs)
            above = torch.ones_like(correlation[0], dtype=torch.bool).triu(1)
            z = correlation[:, above].clamp(-LARGEST, LARGEST).atanh()
            return torch.cat([deviation.log(), speed.log(), z], 1)


def moments(x: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
    """Standard deviations (B, D) and correlations (B, D, D) of x (B, T, D) over the real frames."""
    if x.shape[1] == 0:
        D = x.shape[2]
        return x.new_full((len(x), D), SMALLEST), x.new_zeros(len(x), D, D)
    real = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
    x = (x - mean_of(x, mask).unsqueeze(1)).masked_fill(~real.unsqueeze(-1), 0)
    count = real.sum(1).clamp_min(1)[:, None, None]
    covariance = x.transpose(1, 2) @ x / count
    deviation = covariance.diagonal(dim1=1, dim2=2).sqrt().clamp_min(SMALLEST)
    return deviation, covariance / (deviation.unsqueeze(1) * deviation.unsqueeze(2))
