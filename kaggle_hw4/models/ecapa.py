"""ECAPA-TDNN's layer (Desplanques et al. 2020): dilated Res2 convolutions and channel gates."""

import torch
from torch import Tensor, nn

from kaggle_hw4.models.convolution import Convolution, as_image, over_time
from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.models.norm import MaskedBatchNorm
from kaggle_hw4.networks import EcapaConfig
from kaggle_hw4.padding import Mask, mean_of, zero_padding


class TimeConvolution(nn.Module):
    """Convolution over time → ReLU → BatchNorm: (B, T, D) → (B, T, D), zero in the padding."""

    def __init__(self, d_model: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        # A 2-D convolution on the (B, T, D) layout, which is channels-last already.
        self.convolution = Convolution(
            d_model,
            d_model,
            (1, kernel_size),
            padding=(0, dilation * (kernel_size // 2)),
            dilation=(1, dilation),
        )
        self.norm = MaskedBatchNorm(d_model)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        x = over_time(self.convolution(as_image(x)))
        out: Tensor = self.norm(zero_padding(x.relu(), mask), mask)
        return out


class Res2Convolution(nn.Module):
    """The channels in groups, each convolved with what came out of the one before (Gao 2019)."""

    def __init__(self, config: EcapaConfig, dilation: int) -> None:
        super().__init__()
        width = config.d_model // config.groups
        self.convolutions = nn.ModuleList(
            TimeConvolution(width, config.kernel_size, dilation) for _ in range(config.groups - 1)
        )

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        first, *rest = x.chunk(len(self.convolutions) + 1, dim=-1)
        outputs, before = [first], torch.zeros_like(first)
        for group, convolution in zip(rest, self.convolutions, strict=True):
            before = convolution(group + before, mask)
            outputs.append(before)
        return torch.cat(outputs, -1)


class ChannelGate(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018) over the real frames of an utterance."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        hidden = max(1, d_model // 4)
        self.gate = nn.Sequential(
            nn.Linear(d_model, hidden), nn.ReLU(), nn.Linear(hidden, d_model), nn.Sigmoid()
        )

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        gated: Tensor = x * self.gate(mean_of(x, mask)).unsqueeze(1)
        return gated


class EcapaLayer(nn.Module):
    """Pointwise, Res2 over time, pointwise, channel gate, with a residual; dilation 2 and up."""

    def __init__(self, config: EcapaConfig, index: int) -> None:
        super().__init__()
        self.before = TimeConvolution(config.d_model, 1, 1)
        self.res2 = Res2Convolution(config, dilation=index + 2)
        self.after = TimeConvolution(config.d_model, 1, 1)
        self.gate = ChannelGate(config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        y = self.after(self.res2(self.before(x, mask), mask), mask)
        out: Tensor = self.dropout.add(x, self.gate(y, mask))
        return out
