"""Embeddings of segments in masked batches sorted by length, and statistics of whole utterances."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.segments import FrameStore, IntArray, Segments
from kaggle_hw4.device import enough_memory
from kaggle_hw4.models.second_order import BandCorrelations, LogCovariance
from kaggle_hw4.padding import Mask
from kaggle_hw4.progress import Bar, Progress, no_bar
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import PredictionConfig

WHOLE = PredictionConfig(
    weights="ema", segments=0, frames=[1], average="logits", spreading_neighbours=0
)
BATCH_FRAMES = {"cpu": 4096, "cuda": 16384}  # padding included; a CPU's stay in its cache
BATCH_SCORES = 2**25  # attention scores in a batch and head: what the longest utterances cost


class Embedder(Protocol):
    """Whatever has embeddings (B, d_embedding) of features (B, T, n_mels)."""

    @property
    def d_embedding(self) -> int: ...

    def embed(self, features: Tensor, mask: Mask) -> Tensor: ...


@torch.inference_mode()
def statistics_of(store: FrameStore, rows: IntArray, bar: Bar = no_bar) -> list[Tensor]:
    """Both second-order statistics of whole utterances, each (n, D)."""
    embedders = [kind(store.corpus.n_mels) for kind in (BandCorrelations, LogCovariance)]
    where, embedded = embed_segments(embedders, store, rows, WHOLE, bar("statistics"))
    return [mean_by_row(each, where, len(rows)) for each in embedded]


def embed_segments(
    models: Sequence[Embedder],
    store: FrameStore,
    rows: IntArray,
    config: PredictionConfig,
    progress: Progress = lambda *_: None,
    ranks: Ranks = ALONE,
) -> tuple[Tensor, list[Tensor]]:
    """The place in `rows` (S,) of each segment's utterance, and each model's embeddings (S, D); on
    the CPU, whose sums are the same every time. `progress(done, total)` counts segments.

    Of several `ranks` each takes every so many-th batch, and the sum over ranks is what a single
    one computes, to the bit: the batches are the same, and 0 where another rank computes.
    """
    where, cuts = plan_segments(store.corpus.lengths[rows], config)
    embeddings = [torch.zeros(len(where), model.d_embedding) for model in models]
    done = 0
    most = BATCH_FRAMES.get(store.device.type, BATCH_FRAMES["cuda"])
    for number, chosen in enumerate(batches(cuts[:, 1], most)):
        if number % ranks.count == ranks.rank:
            # The frames are gathered, padded and put on the device once for all models.
            starts, lengths = cuts[chosen].T
            features, mask = store.gather(Segments(rows[where[chosen]], starts, lengths))
            place = torch.from_numpy(chosen)
            with enough_memory("a prediction", "predict on the CPU"):
                computed = [model.embed(features, mask).float() for model in models]
                for embedded, values in zip(embeddings, computed, strict=True):
                    embedded[place] = values.cpu()
        done += len(chosen)
        progress(done, len(where))
    return torch.from_numpy(where), list(ranks.total(embeddings))


def mean_by_row(values: Tensor, where: Tensor, n: int) -> Tensor:
    """The mean (n, D) of the values (S, D) that belong to each of n rows."""
    total = values.new_zeros(n, values.shape[1]).index_add_(0, where, values)
    return total / torch.bincount(where, minlength=n).unsqueeze(1)


def plan_segments(lengths: IntArray, config: PredictionConfig) -> tuple[IntArray, IntArray]:
    """Which segments to predict: the index (S,) of each one's utterance, (start, length) (S, 2).

    `config.segments` of each of `config.frames`, evenly spaced from the first frame to the last; an
    utterance that is no longer than one of them, or a config of none, takes the whole at once.
    """
    if config.segments == 0:
        return np.arange(len(lengths)), np.stack([np.zeros_like(lengths), lengths], 1)
    parts = [even_segments(lengths, config.segments, frames) for frames in config.frames]
    return np.concatenate([w for w, _ in parts]), np.concatenate([cuts for _, cuts in parts])


def even_segments(lengths: IntArray, count: int, frames: int) -> tuple[IntArray, IntArray]:
    """`count` segments of `frames` frames of every utterance, as `plan_segments` returns them."""
    spare = np.maximum(lengths - frames, 0)
    counts = np.where(spare > 0, count, 1)
    where = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    # A lone segment stands in the middle.
    share = (number / (count - 1)) if count > 1 else np.full(len(where), 0.5)
    starts = np.rint(spare[where] * share).astype(np.int64)
    return where, np.stack([starts, np.minimum(lengths, frames)[where]], 1)


def batches(lengths: IntArray, most: int) -> Iterator[IntArray]:
    """Indices of segments in batches of like length, longest first, each of `most` frames at most
    and within the budget of scores.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        size = max(1, min(most // longest, BATCH_SCORES // longest**2))
        yield order[start : start + size]
        start += size
