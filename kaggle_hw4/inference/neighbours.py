"""Test-time averaging over utterances: what the neighbours say, without a label.

A speaker's utterances of one session lie near each other, in the embedding (the voice) and in the
channel (the room), nearer than a model's idea of *who* it is can be trusted: to tell who speaks in
an unheard session is hard, to tell that the same one speaks again is easy. So an utterance's
log-probabilities are averaged with those of its mutual nearest neighbours in the set that is
predicted. Label spreading (Zhou et al. 2004), one step of it, on a graph of voice and channel.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS = 0.5  # temperature of the weights; a similarity is at most 1
CHUNK = 2048  # rows of the similarities at a time


def average_with_neighbours(
    logits: Tensor, embeddings: Tensor, channels: npt.NDArray[np.float32], neighbours: int
) -> Tensor:
    """Log-probabilities (n, C) of n utterances, each a mean with its nearest ones'.

    `logits` (n, C); `embeddings` (n, D); `channels` (n, E), as `data.channel` describes them.
    Only mutual ones count, of the `neighbours` nearest: an utterance without any keeps its own.
    """
    said = logits.log_softmax(1)
    similarity, nearest = find_nearest(embeddings, torch.from_numpy(channels), neighbours)
    mutual = (nearest[nearest] == torch.arange(len(said))[:, None, None]).any(2)
    weight = torch.exp((similarity - 1) / SHARPNESS) * mutual
    others = (weight.unsqueeze(-1) * said[nearest]).sum(1)
    return (said + others) / (1 + weight.sum(1, keepdim=True))


def find_nearest(embeddings: Tensor, channels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Similarities and indices, both (n, count), of each one's nearest others, best first."""
    points = torch.cat([directions(embeddings), directions(channels)], 1) / 2**0.5
    count = min(count, len(points) - 1)
    found = []
    for start in range(0, len(points), CHUNK):
        similarity = points[start : start + CHUNK] @ points.T
        own = torch.arange(len(similarity))
        similarity[own, start + own] = -torch.inf
        found.append(similarity.topk(count, dim=1))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def directions(x: Tensor) -> Tensor:
    """Rows (n, D) of length 1, seen from their common centre, in units of their deviations."""
    x = x.float()
    return F.normalize((x - x.mean(0)) / x.std(0).clamp_min(1e-6))
