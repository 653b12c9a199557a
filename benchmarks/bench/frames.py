"""Utterances of random frames, as many and as long as the competition's.

Frames of different utterances overlap in memory where there is no room for each to have its own:
a batch costs the same. Free of the package, so that the old one can be given the same.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

N_MELS = 40
MIN_FRAMES, MAX_FRAMES = 91, 7193
TEST_SHARE = 8_000 / 64_666
OWN_FRAMES = 5_000_000  # 400 MB in float16, more than any cache


@dataclass(frozen=True)
class Utterances:
    """Training utterances, then those of the test set, whose label is -1."""

    speakers: int
    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    frames: torch.Tensor  # (all frames, n_mels)


def random_utterances(count: int, speakers: int) -> Utterances:
    """`count` in all; lengths are the log-normal of the 64,666 of the competition."""
    random = np.random.default_rng(0)
    lengths = random_lengths(count, random)
    size = min(int(lengths.sum()), OWN_FRAMES)
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(min(size, 100_000), N_MELS, generator=generator).mul(4).sub(2).half()
    frames = block.repeat(-(-size // len(block)), 1)[:size].contiguous()
    tests = round(count * TEST_SHARE)
    labels = np.concatenate([np.arange(count - tests) % speakers, np.full(tests, -1)])
    offsets = random.integers(0, size - lengths + 1)
    ids = tuple(f"uttr-{i:032x}.pt" for i in range(count))
    return Utterances(speakers, ids, labels, lengths, offsets, frames)


def random_lengths(count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Frames of each utterance, as shared/facts.md has measured them."""
    drawn = np.exp(random.normal(6.388, 0.411, count))
    lengths: npt.NDArray[np.int64] = drawn.clip(MIN_FRAMES, MAX_FRAMES).astype(np.int64)
    return lengths
