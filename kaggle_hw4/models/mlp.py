"""Fully connected layers over a window of concatenated frames."""

import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.networks import MlpConfig
from kaggle_hw4.padding import Mask, zero_padding


class MlpLayer(nn.Module):
    """LayerNorm → linear → ReLU, with a residual: (B, T, D) → (B, T, D). The first layer has the
    window of `context` frames, the others each frame alone.

    The residual, as in a pre-norm Transformer, lets a deep stack learn at a rate of 1e-3 and more.
    """

    def __init__(self, config: MlpConfig, index: int) -> None:
        super().__init__()
        self.context = config.context if index == 0 else 1
        self.norm = nn.LayerNorm(config.d_model)
        self.linear = nn.Linear(self.context * config.d_model, config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        windows = concatenate_frames(zero_padding(self.norm(x), mask), self.context)
        out: Tensor = self.dropout.add(x, self.linear(windows).relu())
        return out


def concatenate_frames(x: Tensor, context: int) -> Tensor:
    """Each frame of x (B, T, D) with its neighbours: (B, T, context · D), in the order of time.
    Frames outside the utterance are zeros.
    """
    if context == 1:
        return x
    around = F.pad(x, (0, 0, context // 2, context // 2))
    return around.unfold(1, context, 1).transpose(2, 3).flatten(2)
