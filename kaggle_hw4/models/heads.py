"""From embeddings (B, D) to plain logits (B, C)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Logits scale · cos(embedding, speaker): what an additive margin is made for.

    Both sides are normalised and there is no bias (Wang et al. 2018). The margin itself is in
    `training.loss`; these logits are the ones to predict from.
    """

    def __init__(self, d_embedding: int, n_speakers: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(n_speakers, d_embedding))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(x), F.normalize(self.weight))
