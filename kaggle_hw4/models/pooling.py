"""From frames (B, T, D) and their mask (B, T) to one vector an utterance (B, d_out)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kaggle_hw4.networks import POOLING_HEADS
from kaggle_hw4.padding import Mask, mean_of, zero_padding

EPSILON = 1e-5


def moments_of(x: Tensor, mask: Mask, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, D), of and under the same."""
    mean = mean_of(x, mask, weight)
    variance = mean_of((x - mean.unsqueeze(1)).square(), mask, weight)
    return mean, (variance + EPSILON).sqrt()


class MeanPooling(nn.Module):
    def __init__(self, _d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        return mean_of(x, mask)


class MaxPooling(nn.Module):
    """The largest value of each feature over time."""

    def __init__(self, _d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        if mask is not None:
            x = x.masked_fill(~mask.unsqueeze(-1), -torch.inf)
        return x.amax(1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation, as in the x-vector (Snyder et al. 2017)."""

    def __init__(self, _d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        return torch.cat(moments_of(x, mask), dim=-1)


class SelfAttentionPooling(nn.Module):
    """A mean weighted by one learned query over the frames (Safari et al. 2020)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, 1)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        return mean_of(x, mask, masked_softmax(self.score(x), mask))


class MultiHeadPooling(nn.Module):
    """Each head attends to the frames by a query of its own, in its part of the features (India et
    al. 2019).
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(POOLING_HEADS, d_model // POOLING_HEADS))
        nn.init.xavier_uniform_(self.query)

    def score(self, x: Tensor) -> Tensor:
        """The heads' scores (B, T, heads) of the frames."""
        scale: float = self.query.shape[1] ** -0.5
        return (self._parts(x) * self.query).sum(-1) * scale

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        x = zero_padding(x, mask)
        weights = masked_softmax(self.score(x), mask).unsqueeze(-1)
        return (weights * self._parts(x)).sum(1).flatten(1)

    def _parts(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], *self.query.shape)


class AttentiveStatisticsPooling(nn.Module):
    """Mean and standard deviation under learned weights (Okabe et al. 2018)."""

    def __init__(self, d_model: int, d_hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d_model, d_hidden), nn.Tanh(), nn.Linear(d_hidden, 1))

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        moments = moments_of(x, mask, masked_softmax(self.score(x), mask))
        return torch.cat(moments, dim=-1)


def masked_softmax(scores: Tensor, mask: Mask) -> Tensor:
    """Weights over the real frames from scores (B, T, heads), of which every utterance has one."""
    if mask is not None:
        scores = scores.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    return scores.softmax(1)


POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "mean": MeanPooling,
    "max": MaxPooling,
    "statistics": StatisticsPooling,
    "self_attention": SelfAttentionPooling,
    "multi_head": MultiHeadPooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}
