"""Segments: which frames of which utterances are in a batch, and gathering them.

A draw is a function of (seed, step, position in the batch) and of nothing before it, so a resumed
run gets the batches that it would have had.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.frames import AnyFrames
from kaggle_hw4.device import upload
from kaggle_hw4.recipe import Recipe

IntArray = npt.NDArray[np.int64]

# A stream of random numbers for each purpose: using one more never changes the others.
ORDER, CROPS, MASKS, DROPOUT, LENGTHS, AUGMENTATION, PARTNERS, HIDDEN = range(8)


@dataclass(frozen=True)
class Segments:
    """`lengths` frames, from `starts` on, of the utterances in `rows`; all (B,). Utterances may end
    before their segments do.
    """

    rows: IntArray
    starts: IntArray
    lengths: IntArray


def draw_segments(
    seed: int, step: int, rows: IntArray, lengths: IntArray, batch_size: int, frames: int
) -> Segments:
    """The segments of one training step, each `frames` long; `lengths` are those of all rows of the
    corpus.

    Every epoch is a permutation of `rows`; a segment starts at any frame that leaves it complete.
    """
    position = step * batch_size + np.arange(batch_size)
    epoch, place = np.divmod(position, len(rows))
    chosen = np.empty(batch_size, np.int64)
    for e in np.unique(epoch):
        chosen[epoch == e] = rows[epoch_order(seed, int(e), len(rows))[place[epoch == e]]]
    size = np.full(batch_size, frames)
    random = np.random.default_rng([seed, CROPS, step])
    return Segments(chosen, draw_starts(random, lengths[chosen], size), size)


@lru_cache(maxsize=2)  # a batch may end an epoch and begin the next
def epoch_order(seed: int, epoch: int, n: int) -> IntArray:
    """The order (n,) of an epoch, which is drawn once: of 57 million rows, in seconds."""
    return np.random.default_rng([seed, ORDER, epoch]).permutation(n)


def draw_starts(random: np.random.Generator, lengths: IntArray, frames: IntArray) -> IntArray:
    """Random first frames (B,) of segments of `frames` (B,) in utterances of `lengths` (B,)."""
    spare = np.maximum(lengths - frames, 0)
    starts: IntArray = (random.random(len(lengths)) * (spare + 1)).astype(np.int64)
    return starts


def segment_length(seed: int, step: int, recipe: Recipe, place: float | None = None) -> int:
    """The length of the segments of a training step, in frames; its `place` in the schedule is the
    step unless the schedule is stretched.
    """
    place = step if place is None else place
    if recipe.is_fine_tuning(place):
        return recipe.large_margin_fine_tuning.frames
    if recipe.segments.lengths == "uniform":
        share = float(np.random.default_rng([seed, LENGTHS, step]).random())
    else:
        growing = recipe.schedule.steps - recipe.large_margin_fine_tuning.steps
        share = min(1.0, place / max(1, growing - 1))
    min_fraction = recipe.segments.min_fraction
    return max(1, round(recipe.segments.frames * (min_fraction + (1 - min_fraction) * share)))


class FrameStore:
    """The frames of a corpus for a device: in its memory if they fit, else memory-mapped."""

    def __init__(self, corpus: Corpus, device: torch.device) -> None:
        self.corpus = corpus
        self.device = device
        self.frames = corpus.frames.to(device) if fits(corpus.frames, device) else corpus.frames

    def gather(self, segments: Segments) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features (B, T, n_mels), float32, and their mask (B, T), on the device.

        T is the longest of the lengths; a shorter segment, or an utterance that ends before its
        segment does, is followed by zeros that the mask excludes. Where none is, the mask is None.
        """
        rows, starts, lengths = segments.rows, segments.starts, segments.lengths
        home = self.frames.device
        first = upload(self.corpus.offsets[rows] + starts, home)
        lengths = np.minimum(lengths, self.corpus.lengths[rows] - starts)
        t = torch.arange(int(segments.lengths.max()), device=home)
        if int(lengths.min()) == len(t):
            return self.frames[first[:, None] + t].to(self.device).float(), None
        real = upload(lengths, home)
        index = first[:, None] + torch.minimum(t, real[:, None] - 1)
        features = self.frames[index].to(self.device).float()
        mask = (t < real[:, None]).to(self.device)
        return features.masked_fill(~mask.unsqueeze(-1), 0), mask


def fits(frames: AnyFrames, device: torch.device) -> bool:
    """Whether `frames` fit in half of a CUDA device's free memory; other devices use the CPU's."""
    return device.type != "cuda" or frames.nbytes < torch.cuda.mem_get_info(device)[0] / 2
