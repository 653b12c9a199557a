"""The frame of every encoder: a linear layer in, positions, and layers that know the mask."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

from kaggle_hw4.models.attention import sinusoidal_positions
from kaggle_hw4.recipe import Model

M = TypeVar("M", bound=Model)


class Encoder(nn.Module):
    """(B, T, n_mels) and a mask (B, T) → (B, T, d_model).

    `layer` makes one of the n_layers; `norm` stands behind the last.
    """

    def __init__(
        self, n_mels: int, model: M, layer: Callable[[M], nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.prenet = nn.Linear(n_mels, model.d_model)
        self.sinusoidal = model.positions == "sinusoidal"
        self.layers = nn.ModuleList(layer(model) for _ in range(model.n_layers))
        self.norm = norm

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.prenet(x)
        if self.sinusoidal:
            x = x + sinusoidal_positions(x.shape[1], x.shape[2], x.device)
        for layer in self.layers:
            x = layer(x, mask)
        normed: Tensor = self.norm(x)
        return normed
