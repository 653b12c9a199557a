"""BatchNorm over the real frames alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_hw4.padding import Mask


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm (Ioffe & Szegedy 2015) of x (B, T, …, C) over the real frames of mask (B, T).

    x must be zero in the padding, and the result is zero there: padding changes neither the
    moments nor a convolution behind it. float32 under any autocast.
    """

    def forward(self, x: Tensor, mask: Mask) -> Tensor:  # type: ignore[override]
        if mask is None:
            return self._fused(x)
        real = mask.reshape(*mask.shape, *[1] * (x.dim() - 2))
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            mean, variance = self._moments(x, real) if self.training else self._running()
            gain = self.weight * (variance + self.eps).rsqrt()
            return torch.addcmul(self.bias - mean * gain, x, gain).masked_fill(~real, 0)

    def _fused(self, x: Tensor) -> Tensor:
        """PyTorch's own, which reads a channels-last image as x lies in memory."""
        B, T, C = len(x), x.shape[1], x.shape[-1]
        image = x.reshape(B, T, -1, C).permute(0, 3, 1, 2)
        running, momentum = self._running(), self.momentum or 0.1
        with torch.autocast(x.device.type, enabled=False):
            normed = F.batch_norm(
                image.float(), *running, self.weight, self.bias, self.training, momentum, self.eps
            )
        return normed.permute(0, 2, 3, 1).reshape(x.shape)

    def _running(self) -> tuple[Tensor, Tensor]:
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean, self.running_var

    def _moments(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Moments (C,) of this batch, which move the running ones along."""
        over = tuple(range(x.dim() - 1))
        count = real.sum() * (x[0, 0].numel() // x.shape[-1])
        mean = x.sum(over) / count
        variance = (x.square().sum(over) / count - mean.square()).clamp_min(0)
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp_min(1)
            for running, now in zip(self._running(), (mean, unbiased), strict=True):
                running.lerp_(now, self.momentum or 0.1)
        return mean, variance
