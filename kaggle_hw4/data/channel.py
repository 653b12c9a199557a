"""What a recording's channel, room and noise leave in its frames."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from kaggle_hw4.data.corpus import Corpus

QUIET, LOUD = 5, 60  # percentiles of a band over time: the noise behind, the speech in front


@dataclass(frozen=True)
class Channel:
    """The spectra of B recordings; both (B, n_mels), in nat."""

    mean: torch.Tensor  # of all frames
    quiet: torch.Tensor  # of the quietest frames: noise and room

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> "Channel":
        chosen = torch.from_numpy(rows).to(self.mean.device)
        return Channel(self.mean[chosen], self.quiet[chosen])

    def to(self, device: torch.device) -> "Channel":
        return Channel(self.mean.to(device), self.quiet.to(device))


def channels(corpus: Corpus, rows: Iterable[int]) -> Channel:
    """The channel of each of `rows`."""
    frames = [corpus.features(int(row)).numpy() for row in rows]
    mean = np.stack([f.mean(0) for f in frames])
    quiet = np.stack([np.percentile(f, QUIET, axis=0) for f in frames])
    return Channel(torch.from_numpy(mean), torch.from_numpy(quiet.astype(np.float32)))


def describe_channel(corpus: Corpus, row: int) -> npt.NDArray[np.float32]:
    """The 5th and 60th percentile of each band over time, less the utterance's mean level."""
    features = corpus.features(row).numpy()
    spectra = np.percentile(features, (QUIET, LOUD), axis=0) - features.mean()
    return np.asarray(spectra.ravel(), np.float32)


def describe_channels(corpus: Corpus, rows: Iterable[int]) -> npt.NDArray[np.float32]:
    """`describe_channel` of each of `rows`: (n, 2 · n_mels)."""
    return np.stack([describe_channel(corpus, int(row)) for row in rows])
