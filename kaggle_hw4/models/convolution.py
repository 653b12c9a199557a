"""Convolutions over time and bands."""

import torch
from torch import Tensor, nn

NARROW = 32  # channels


class Convolution(nn.Conv2d):
    """nn.Conv2d, whose products stay float32 on a CPU where it has few channels.

    They gain nothing from bf16, and oneDNN's narrow convolutions in bf16 never return on some
    processors with AMX.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or min(self.weight.shape[:2]) >= NARROW:
            return super().forward(x)
        given = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(given)


def as_image(x: Tensor) -> Tensor:
    """(B, T, D) → (B, D, 1, T), the same memory."""
    return x.transpose(1, 2).unsqueeze(2)


def over_time(x: Tensor) -> Tensor:
    """(B, D, 1, T) → (B, T, D), the same memory."""
    return x.squeeze(2).transpose(1, 2)
