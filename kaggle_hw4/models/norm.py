"""BatchNorm over the real frames alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_hw4.padding import Mask, zero_padding
from kaggle_hw4.ranks import ALONE, Ranks


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm (Ioffe & Szegedy 2015) of x (B, C), over the rows of all ranks."""

    ranks = ALONE

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self.ranks.count > 1):
            normed: Tensor = super().forward(x)
            return normed
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            mean, variance, count = moments_over(self.ranks, x, None)
            move_running(self, mean, variance, count)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            gain = self.weight * (variance + self.eps).rsqrt()
            return torch.addcmul(self.bias - mean * gain, x, gain)


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm (Ioffe & Szegedy 2015) of x (B, T, …, C) over the real frames of mask (B, T).

    x must be zero in the padding, and the result is zero there: padding changes neither the
    moments nor a convolution behind it. Summed in float32 under any autocast, and returned in the
    precision of x. The moments are those of the frames of all ranks.
    """

    ranks = ALONE

    def forward(self, x: Tensor, mask: Mask) -> Tensor:  # type: ignore[override]
        if mask is None and not (self.training and self.ranks.count > 1):
            return self._fused(x)
        given = x.dtype
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            mean, variance = self._moments(x, mask) if self.training else self._running()
            gain = self.weight * (variance + self.eps).rsqrt()
            return zero_padding(torch.addcmul(self.bias - mean * gain, x, gain), mask).to(given)

    def _fused(self, x: Tensor) -> Tensor:
        """PyTorch's own, which reads a channels-last image as x lies in memory."""
        B, T, C = len(x), x.shape[1], x.shape[-1]
        image = x.reshape(B, T, -1, C).permute(0, 3, 1, 2)
        running, momentum = self._running(), self.momentum or 0.1
        with torch.autocast(x.device.type, enabled=False):
            normed = F.batch_norm(
                image, *running, self.weight, self.bias, self.training, momentum, self.eps
            )
        return normed.permute(0, 2, 3, 1).reshape(x.shape)

    def _running(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var

    def _moments(self, x: Tensor, mask: Mask) -> tuple[Tensor, Tensor]:
        """Moments (C,) of this batch, which move the running ones along."""
        if mask is None or self.ranks.count > 1:
            mean, variance, count = moments_over(self.ranks, x, mask)
        else:
            over, count = tuple(range(x.dim() - 1)), count_of(x, mask)
            mean = x.sum(over) / count
            variance = (x.square().sum(over) / count - mean.square()).clamp_min(0)
        move_running(self, mean, variance, count)
        return mean, variance


def count_of(x: Tensor, mask: Tensor) -> Tensor:
    """The values of a channel of x (B, T, …, C) that are real."""
    return mask.sum() * (x[0, 0].numel() // x.shape[-1])


@torch.no_grad()
def move_running(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: Tensor) -> None:
    """Move the running moments of `norm` towards those of a batch of `count` values a channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    unbiased = variance * count / (count - 1).clamp_min(1)
    for running, now in ((norm.running_mean, mean), (norm.running_var, unbiased)):
        running.lerp_(now, norm.momentum or 0.1)


def moments_over(ranks: Ranks, x: Tensor, mask: Mask) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (C,) and count of the values of a channel of x (B, …, C), zero in the padding
    of mask (B, T), on all ranks; from each one's own (Chan et al. 1983).
    """
    over, size = tuple(range(x.dim() - 1)), x.numel() // x.shape[-1]
    count = x.new_full((), size) if mask is None else count_of(x, mask).to(x.dtype)
    mean = x.sum(over) / count
    squares = zero_padding(x - mean, mask).square().sum(over)
    own = torch.stack([mean, squares, count.expand_as(mean)])
    means, squares, counts = ranks.stack(own).unbind(1)
    total = counts.sum(0)
    mean = (counts * means).sum(0) / total
    variance = (squares + counts * (means - mean).square()).sum(0) / total
    return mean, variance, total


def share_batches(model: nn.Module, ranks: Ranks) -> None:
    """Let each BatchNorm of `model` have the moments of the batches of all ranks."""
    for module in model.modules():
        if isinstance(module, BatchNorm | MaskedBatchNorm):
            module.ranks = ranks
