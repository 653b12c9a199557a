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
from kaggle_hw4.logits import LowRankLogits, blocks, log_softmax_low_rank
from kaggle_hw4.progress import Progress

IntArray = npt.NDArray[np.int64]

SPREAD = 0.8  # weight of reliable neighbours in the result; the rest is the utterance's own
MIXED = 8192  # rows that are averaged with their neighbours' at a time


def spread_within(
    subsets: Sequence[tuple[IntArray, IntArray]],
    logits: Tensor,
    embeddings: Tensor,
    channels: npt.NDArray[np.float32],
    neighbours: int,
    progress: Progress = lambda *_: None,
) -> Tensor:
    """Log-probabilities (n, C) as `spread_labels` returns them, each spread over its own subset:
    its rows, and those of them that count there, both as indices. `progress(done, total)` counts
    subsets, or the parts of the only one.
    """
    logp = logits.log_softmax(1)
    return mix_within(subsets, logp, logp.argmax(1), embeddings, channels, neighbours, progress)


def spread_factors(
    subsets: Sequence[tuple[IntArray, IntArray]],
    logits: LowRankLogits,
    embeddings: Tensor,
    channels: npt.NDArray[np.float32],
    neighbours: int,
    progress: Progress = lambda *_: None,
) -> LowRankLogits:
    """What `spread_within` returns, of logits of one part, whose factors are averaged instead."""
    logp, guess = log_softmax_low_rank(logits), np.empty(len(logits), np.int64)
    for rows, block in blocks(logp):
        guess[rows] = block.argmax(1)
    [part] = logp.parts
    values = torch.from_numpy(np.column_stack([part.factors, logp.offsets]))
    others = embeddings, channels, neighbours, progress
    mixed = mix_within(subsets, values, torch.from_numpy(guess), *others).numpy()
    return LowRankLogits.of(mixed[:, :-1].copy(), part.vectors, mixed[:, -1].copy())


def mix_within(
    subsets: Sequence[tuple[IntArray, IntArray]],
    values: Tensor,
    guess: Tensor,
    embeddings: Tensor,
    channels: npt.NDArray[np.float32],
    neighbours: int,
    progress: Progress = lambda *_: None,
) -> Tensor:
    """`values` (n, R), averaged with neighbours' as `spread_within` does: log-probabilities, or
    what they are linear in. `guess` (n,) are the likeliest classes.
    """
    mixed = values.clone()
    for done, (rows, counted) in enumerate(subsets):
        part = progress if len(subsets) == 1 else None
        progress(done, len(subsets))
        chosen = torch.from_numpy(rows)
        if len(rows) > 1:
            own = guess[chosen], embeddings[chosen], channels[rows]
            within = find_neighbours(*own, neighbours, part).mix(values[chosen])
            place = torch.from_numpy(np.searchsorted(rows, counted))
            mixed[torch.from_numpy(counted)] = within[place]
    progress(1, 1)
    return mixed


@dataclass(frozen=True)
class Neighbours:
    """Who counts how much: an utterance's neighbours (n, k) weigh `spread` (n, 1) together, in
    these shares (n, k).
    """

    nearest: Tensor
    spread: Tensor
    share: Tensor

    def mix(self, values: Tensor) -> Tensor:
        """Values (n, R) averaged with those of the neighbours."""
        mixed = torch.empty_like(values)
        for start in range(0, len(values), MIXED):
            rows = slice(start, start + MIXED)
            spread, share = self.spread[rows], self.share[rows].unsqueeze(-1)
            others = (share * values[self.nearest[rows]]).sum(1)
            mixed[rows] = (1 - spread) * values[rows] + spread * others
        return mixed


def spread_labels(
    logits: Tensor,
    embeddings: Tensor,
    channels: npt.NDArray[np.float32],
    neighbours: int,
    progress: Progress | None = None,
) -> Tensor:
    """Log-probabilities (n, C) of n utterances, averaged with their neighbours'.

    `logits` (n, C); `embeddings` (n, D); `channels` (n, E), as `data.channel` describes them.
    Only mutual ones count, of the `neighbours` nearest: an utterance without any keeps its own.
    """
    logp = logits.log_softmax(1)
    return find_neighbours(logp.argmax(1), embeddings, channels, neighbours, progress).mix(logp)


def find_neighbours(
    guess: Tensor,
    embeddings: Tensor,
    channels: npt.NDArray[np.float32],
    neighbours: int,
    progress: Progress | None = None,
) -> Neighbours:
    """The neighbours of n utterances, by their likeliest classes `guess` (n,)."""
    similarity, nearest = find_nearest(embeddings, torch.from_numpy(channels), neighbours, progress)
    mutual = (nearest[nearest] == torch.arange(len(guess))[:, None, None]).any(2)
    reliability = reliability_of(similarity, guess[nearest] == guess[:, None], mutual)
    spread = SPREAD * (1 - (1 - reliability).prod(1, keepdim=True))
    share = reliability / reliability.sum(1, keepdim=True).clamp_min(
        torch.finfo(reliability.dtype).tiny
    )
    return Neighbours(nearest, spread, share)


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
