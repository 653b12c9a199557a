"""Graph layers: frames are nodes, with edges to their neighbours in time and in features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.networks import GraphConfig
from kaggle_hw4.padding import Mask

CACHED = 2**18  # pairs of frames at a time: what they need stays in a processor's cache


class GraphLayer(nn.Module):
    """LayerNorm → a sum over the edges, by attention (GAT) or normalised (GCN), with or without a
    residual: (B, T, D) → (B, T, D). The graph is that of the layer's own input, as in a dynamic
    graph CNN (Wang et al. 2019).
    """

    def __init__(self, config: GraphConfig, _index: int) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.d_model)
        self.gather: EdgeAttention | EdgeMean = (
            EdgeAttention(config.d_model, config.n_heads)
            if config.n_heads
            else EdgeMean(config.d_model)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        size = max(1, CACHED // x.shape[1] ** 2)
        parts: tuple[Tensor, ...] = torch.split(self.norm(x), size)
        masks = [None] * len(parts) if mask is None else torch.split(mask, size)
        y = torch.cat([self._from_neighbours(*part) for part in zip(parts, masks, strict=True)])
        return self.dropout.add(x, y) if self.config.residual else self.dropout(y.float())

    def _from_neighbours(self, x: Tensor, mask: Mask) -> Tensor:
        config = self.config
        edges = frame_graph(x, mask, config.time_neighbours, config.feature_neighbours)
        out: Tensor = self.gather(x, edges)
        return out


class EdgeMean(nn.Module):
    """relu(D^-½ A D^-½ X W + b) over edges A (B, T, T) with self loops, D their degrees: the
    first-order approximation of a spectral convolution (Kipf & Welling 2017).
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.linear = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        scale = edges.sum(-1).rsqrt()
        weights = edges * scale.unsqueeze(1) * scale.unsqueeze(2)
        out: Tensor = self.linear(weights @ x).relu()
        return out


class EdgeAttention(nn.Module):
    """Each frame attends to the frames that it has an edge to (Velickovic et al. 2018): scores are
    LeakyReLU(a · W x[i] + b · W x[j]), and heads are concatenated.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.linear = nn.Linear(d_model, d_model)
        self.of_query = nn.Parameter(torch.empty(n_heads, 1, d_model // n_heads))
        self.of_key = nn.Parameter(torch.empty(n_heads, 1, d_model // n_heads))
        for score in (self.of_query, self.of_key):
            nn.init.normal_(score, std=(d_model // n_heads) ** -0.5)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        B, T, D = x.shape
        values = self.linear(x).view(B, T, self.n_heads, -1).transpose(1, 2)  # (B, heads, T, d)
        query, key = ((values * score).sum(-1) for score in (self.of_query, self.of_key))
        scores = F.leaky_relu(query.unsqueeze(3) + key.unsqueeze(2), 0.2)
        weights = scores.masked_fill(~edges.unsqueeze(1), -torch.inf).softmax(-1)
        return F.elu((weights.to(values.dtype) @ values).transpose(1, 2).reshape(B, T, D))


@torch.no_grad()
def frame_graph(x: Tensor, mask: Mask, time_neighbours: int, feature_neighbours: int) -> Tensor:
    """Whether two frames of x (B, T, D) have an edge: (B, T, T), symmetric, with self loops. A
    frame of the padding has an edge to itself alone.
    """
    t = torch.arange(x.shape[1], device=x.device)
    edges = ((t.unsqueeze(1) - t).abs() <= time_neighbours).expand(len(x), -1, -1)
    pairs = torch.ones_like(edges)
    if mask is not None:
        pairs = mask.unsqueeze(1) & mask.unsqueeze(2)
    if feature_neighbours:
        edges = edges | most_similar(x, pairs & ~edges, feature_neighbours)
    return edges & pairs | torch.eye(len(t), dtype=torch.bool, device=x.device)


def most_similar(x: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Whether a frame of x (B, T, D) is among the `count` candidates (B, T, T) with the largest
    cosine to another, or that one among its own: (B, T, T).
    """
    with torch.autocast(x.device.type, enabled=False):  # in bf16 many would be equally near
        directions = F.normalize(x.float(), dim=-1)
        cosines = directions @ directions.transpose(1, 2)
    cosines = cosines.masked_fill(~candidates, -torch.inf)
    values, index = cosines.topk(min(count, x.shape[1]))
    near = torch.zeros_like(candidates).scatter_(2, index, values > -torch.inf)
    return near | near.transpose(1, 2)
