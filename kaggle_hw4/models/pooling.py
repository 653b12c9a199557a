"""From frames (B, T, D) and their mask (B, T) to one vector an utterance (B, d_out)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

EPSILON = 1e-5


def frame_weights(mask: Tensor) -> Tensor:
    """Weights (B, T, 1), even over the real frames of mask (B, T) and summing to 1."""
    real = mask.float().unsqueeze(-1)
    return real / real.sum(1, keepdim=True)


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean (B, D) of x (B, T, D) under weights (B, T, 1) that sum to 1."""
    # 0 · NaN is NaN: padding may hold anything, so it is replaced and not just weighted away.
    return (weight * x.masked_fill(weight == 0, 0)).sum(1)


def weighted_moments(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, D) of x (B, T, D) under weights (B, T, 1)."""
    mean = weighted_mean(x, weight)
    variance = weighted_mean((x - mean.unsqueeze(1)).square(), weight)
    return mean, (variance + EPSILON).sqrt()


class MeanPooling(nn.Module):
    def __init__(self, _d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return weighted_mean(x, frame_weights(mask))


class StatisticsPooling(nn.Module):
    """Mean and standard deviation, as in the x-vector (Snyder et al. 2017)."""

    def __init__(self, _d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return torch.cat(weighted_moments(x, frame_weights(mask)), dim=-1)


class SelfAttentionPooling(nn.Module):
    """A mean weighted by one learned query over the frames (Safari et al. 2020)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return weighted_mean(x, masked_softmax(self.score(x), mask))


class AttentiveStatisticsPooling(nn.Module):
    """Mean and standard deviation under learned weights (Okabe et al. 2018)."""

    def __init__(self, d_model: int, d_hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(d_model, d_hidden), nn.Tanh(), nn.Linear(d_hidden, 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        moments = weighted_moments(x, masked_softmax(self.score(x), mask))
        return torch.cat(moments, dim=-1)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Weights (B, T, 1) over the real frames; every utterance has at least one."""
    return scores.masked_fill(~mask.unsqueeze(-1), -torch.inf).softmax(1)


POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "self_attention": SelfAttentionPooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}
