"""Transductive label spreading over the set that is predicted, without a label.

A speaker's utterances of one session are close to each other in the embedding (the voice) and in
the channel (the room). Who speaks in an unseen session is hard to classify; that two utterances are
of one speaker is easy. So the log-probabilities of an utterance are averaged with those of its
mutual nearest neighbours in the same set: one step of label spreading (Zhou et al. 2004), on
log-probabilities in place of labels. More steps reach neighbours' neighbours, who are other
speakers too often (docs/LOG.md).

How reliable a neighbour is, the set itself shows: where neighbours as similar as this one agree on
the speaker, they are of one speaker. Where the set has no two utterances of a session they hardly
ever agree, and next to nothing is spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from kaggle_hw4.inference.neighbours import find_nearest
from kaggle_hw4.logits import AnyLogits, LowRankLogits, blocks, log_softmax_low_rank
from kaggle_hw4.progress import Progress

IntArray = npt.NDArray[np.int64]

SPREAD = 0.8  # weight of reliable neighbours in the result; the rest is the utterance's own
MIXED = 8192  # rows that are averaged with their neighbours' at a time


@dataclass(frozen=True)
class Neighbours:
    """The nearest others of n utterances, all (n, k): how similar they are, who they are, and
    whether the utterance is among their nearest as well. No label is in it.
    """

    similarity: Tensor
    nearest: Tensor
    mutual: Tensor

    @classmethod
    def find(
        cls,
        embeddings: Tensor,
        channels: npt.NDArray[np.float32],
        count: int,
        progress: Progress | None = None,
    ) -> "Neighbours":
        """By `embeddings` (n, D) and `channels` (n, E), as `data.channel` describes them."""
        rooms = torch.from_numpy(channels)
        similarity, nearest = find_nearest(embeddings, rooms, count, progress)
        own = torch.arange(len(nearest))[:, None, None]
        return cls(similarity, nearest, (nearest[nearest] == own).any(2))

    def mix(self, values: Tensor, guess: Tensor) -> Tensor:
        """Values (n, R) averaged with those of the neighbours, who count by how likely they are to
        be of one speaker; `guess` (n,) are the likeliest classes.
        """
        agree = guess[self.nearest] == guess[:, None]
        reliability = reliability_of(self.similarity, agree, self.mutual)
        weight = SPREAD * (1 - (1 - reliability).prod(1, keepdim=True))
        tiny = torch.finfo(reliability.dtype).tiny
        share = reliability / reliability.sum(1, keepdim=True).clamp_min(tiny)
        mixed = torch.empty_like(values)
        for start in range(0, len(values), MIXED):
            rows = slice(start, start + MIXED)
            others = (share[rows].unsqueeze(-1) * values[self.nearest[rows]]).sum(1)
            mixed[rows] = (1 - weight[rows]) * values[rows] + weight[rows] * others
        return mixed


@dataclass(frozen=True)
class NeighboursWithin:
    """The neighbours within subsets of some utterances: of each its rows, and those of them that
    count there, both as indices; found once, whatever is then spread over them.
    """

    subsets: Sequence[tuple[IntArray, IntArray]]
    neighbours: Sequence[Neighbours | None]  # None of an utterance by itself

    @classmethod
    def find(
        cls,
        subsets: Sequence[tuple[IntArray, IntArray]],
        embeddings: Tensor,
        channels: npt.NDArray[np.float32],
        count: int,
        progress: Progress = lambda *_: None,
    ) -> "NeighboursWithin":
        """`progress(done, total)` counts subsets, or the parts of the only one."""
        neighbours: list[Neighbours | None] = []
        part = progress if len(subsets) == 1 else None
        for done, (rows, _) in enumerate(subsets):
            progress(done, len(subsets))
            own = embeddings[torch.from_numpy(rows)], channels[rows]
            neighbours.append(Neighbours.find(*own, count, part) if len(rows) > 1 else None)
        progress(1, 1)
        return cls(subsets, neighbours)

    def spread(self, logits: AnyLogits) -> AnyLogits:
        """Log-probabilities (n, C) as `spread_labels` returns them, each spread over its own
        subset; of low rank where the logits are, whose factors are averaged instead.
        """
        if not isinstance(logits, LowRankLogits):
            logp = torch.from_numpy(logits).log_softmax(1)
            spread: npt.NDArray[np.float32] = self.mix(logp, logp.argmax(1)).numpy()
            return spread
        normed, guess = log_softmax_low_rank(logits), np.empty(len(logits), np.int64)
        for rows, block in blocks(normed):
            guess[rows] = block.argmax(1)
        [part] = normed.parts
        values = torch.from_numpy(np.column_stack([part.factors, normed.offsets]))
        mixed = self.mix(values, torch.from_numpy(guess)).numpy()
        return LowRankLogits.of(mixed[:, :-1].copy(), part.vectors, mixed[:, -1].copy())

    def mix(self, values: Tensor, guess: Tensor) -> Tensor:
        """`values` (n, R), averaged with neighbours': log-probabilities, or what they are linear
        in. `guess` (n,) are the likeliest classes.
        """
        mixed = values.clone()
        for (rows, counted), neighbours in zip(self.subsets, self.neighbours, strict=True):
            if neighbours is not None:
                chosen, place = torch.from_numpy(rows), np.searchsorted(rows, counted)
                within = neighbours.mix(values[chosen], guess[chosen])
                mixed[torch.from_numpy(counted)] = within[torch.from_numpy(place)]
        return mixed


def spread_labels(
    logits: Tensor, embeddings: Tensor, channels: npt.NDArray[np.float32], neighbours: int
) -> Tensor:
    """Log-probabilities (n, C) of n utterances, averaged with their neighbours'.

    `logits` (n, C); `embeddings` (n, D); `channels` (n, E), as `data.channel` describes them.
    Only mutual ones count, of the `neighbours` nearest: an utterance without any keeps its own.
    """
    logp = logits.log_softmax(1)
    return Neighbours.find(embeddings, channels, neighbours).mix(logp, logp.argmax(1))


def reliability_of(similarity: Tensor, agree: Tensor, mutual: Tensor) -> Tensor:
    """How likely neighbours (n, k) as similar as these are to be of one speaker: how often such
    ones agree, as a function that never falls with the similarity. 0 where they are not mutual.
    """
    reliability = torch.zeros_like(similarity)
    if mutual.any():
        between = similarity[mutual]
        # Among equals the order of the rows must not matter: they share what they are worth.
        values, place, counts = torch.unique(between, return_inverse=True, return_counts=True)
        share = torch.zeros(len(values)).index_add_(0, place, agree[mutual].float()) / counts
        rising = isotonic_regression(share.double().numpy(), weights=counts.double().numpy()).x
        reliability[mutual] = torch.from_numpy(rising).to(reliability.dtype)[place]
    return reliability
