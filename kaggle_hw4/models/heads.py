"""From embeddings (B, D) to plain logits (B, C), which are products: factors (B, R) of the
embeddings times vectors (C, R) of the speakers, unless a speaker has several.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Logits scale · cos(embedding, speaker): what an additive margin acts on.

    Both sides are normalised and there is no bias (Wang et al. 2018). The margin itself is in
    `training.loss`; these logits are the ones to predict from. A speaker with several sub-centres
    is as near as the nearest of them (Deng et al. 2020): one may model a recording session.
    """

    def __init__(self, d_embedding: int, n_speakers: int, scale: float, sub_centres: int) -> None:
        super().__init__()
        self.scale = scale
        self.sub_centres = sub_centres
        self.weight = nn.Parameter(torch.empty(n_speakers * sub_centres, d_embedding))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        cosines = F.linear(F.normalize(x), F.normalize(self.weight))
        nearest = cosines.view(len(x), -1, self.sub_centres).amax(-1)
        return self.scale * nearest


def has_low_rank(head: nn.Module) -> bool:
    """Whether the logits of `head` are `factors_of` times `vectors_of`."""
    return isinstance(head, nn.Linear) or (isinstance(head, CosineHead) and head.sub_centres == 1)


def factors_of(head: nn.Module, x: Tensor) -> Tensor:
    """The factors (B, R) of embeddings (B, D): a cosine's direction, or a linear head's x and 1."""
    if isinstance(head, CosineHead):
        return head.scale * F.normalize(x)
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def vectors_of(head: nn.Module) -> Tensor:
    """The speakers' vectors (C, R): their directions, or a linear head's weights and bias."""
    assert isinstance(head, (CosineHead, nn.Linear))
    if isinstance(head, CosineHead):
        return F.normalize(head.weight)
    return torch.cat([head.weight, head.bias.unsqueeze(1)], 1)
