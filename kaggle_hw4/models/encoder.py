"""The frame of every encoder: a stem, positions, and layers that know the mask."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from kaggle_hw4.models.attention import sinusoidal_positions
from kaggle_hw4.models.stem import ConvolutionStem, LinearStem
from kaggle_hw4.recipe import Model

M = TypeVar("M", bound=Model)


class Encoder(nn.Module):
    """(B, T, n_mels) and a mask (B, T) → (B, T', d_encoded) and its mask (B, T').

    `layer` makes the i-th of the n_layers; `norm` stands behind the last. With aggregation, the
    outputs of all layers stand side by side (MFA-Conformer, Zhang et al. 2022).
    """

    def __init__(
        self, n_mels: int, model: M, layer: Callable[[M, int], nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.stem = (
            ConvolutionStem(n_mels, model.d_model, model.subsampling)
            if model.stem == "convolution"
            else LinearStem(n_mels, model.d_model)
        )
        self.sinusoidal = getattr(model, "positions", "none") == "sinusoidal"
        self.layers = nn.ModuleList(layer(model, i) for i in range(model.n_layers))
        self.aggregation = model.aggregation
        self.norm = nn.LayerNorm(model.d_encoded) if model.aggregation else norm

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x, mask = self.stem(x, mask)
        if self.sinusoidal:
            x = x + sinusoidal_positions(x.shape[1], x.shape[2], x.device)
        outputs = []
        for layer in self.layers:
            x = layer(x, mask)
            outputs.append(x)
        return self.norm(torch.cat(outputs, -1) if self.aggregation else x), mask
