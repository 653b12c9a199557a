"""The frame of every encoder: a stem, positions, and layers that know the mask."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from kaggle_hw4.models.attention import sinusoidal_positions
from kaggle_hw4.models.stem import ConvolutionStem, LinearStem
from kaggle_hw4.networks import NetworkConfig
from kaggle_hw4.padding import Mask

M = TypeVar("M", bound=NetworkConfig)


class Encoder(nn.Module):
    """(B, T, n_mels) and a mask (B, T) → (B, T', d_encoded) and its mask (B, T').

    `layer` makes the i-th of the n_layers; `norm` stands behind the last. With aggregation, the
    outputs of all layers are concatenated (MFA-Conformer, Zhang et al. 2022).
    """

    def __init__(
        self, n_mels: int, config: M, layer: Callable[[M, int], nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.stem = (
            ConvolutionStem(n_mels, config.d_model, config.subsampling)
            if config.stem == "convolution"
            else LinearStem(n_mels, config.d_model)
        )
        self.sinusoidal = getattr(config, "positions", "none") == "sinusoidal"
        self.layers = nn.ModuleList(layer(config, i) for i in range(config.n_layers))
        self.aggregation = config.aggregation
        self.norm = nn.LayerNorm(config.d_encoded) if config.aggregation else norm

    def forward(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        x, mask = self.stem(x, mask)
        x = x.float()  # what the layers add to is float32 in every precision
        if self.sinusoidal:
            # The positions' mean square is 1/2: as in the source, the frames must be well above it.
            positions = sinusoidal_positions(x.shape[1], x.shape[2], x.device)
            x = x * x.shape[2] ** 0.5 + positions
        outputs = []
        for layer in self.layers:
            x = layer(x, mask)
            outputs.append(x)
        return self.norm(torch.cat(outputs, -1) if self.aggregation else x), mask
