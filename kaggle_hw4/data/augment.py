"""Augmentation of training segments, drawn anew for each utterance of each step."""

import numpy as np
import torch
from torch import Tensor

from kaggle_hw4.data.segments import MASKS
from kaggle_hw4.recipe import Augment


def spec_augment(features: Tensor, mask: Tensor, augment: Augment, seed: int, step: int) -> Tensor:
    """SpecAugment (Park et al. 2019) on features (B, T, n_mels), drawn for each utterance.

    Masked cells take their band's mean over the segment's real frames, so that a masked band is
    exactly zero once the frontend has taken the mean off.
    """
    if not (augment.band_masks * augment.band_width or augment.time_masks * augment.time_width):
        return features
    B, T, n_mels = features.shape
    random = np.random.default_rng([seed, MASKS, step])
    bands = stripes(random, (B, augment.band_masks), n_mels, augment.band_width)
    times = stripes(random, (B, augment.time_masks), T, int(augment.time_width * T))
    hidden = times.to(features.device)[:, :, None] | bands.to(features.device)[:, None, :]
    mean = features.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
    return torch.where(hidden & mask.unsqueeze(-1), mean, features)


def stripes(random: np.random.Generator, shape: tuple[int, int], size: int, width: int) -> Tensor:
    """A boolean (B, size), true within any of its stripes of 0 to `width` cells each.

    `shape` is (B, number of stripes).
    """
    widths = random.integers(0, min(width, size) + 1, shape)
    starts = (random.random(shape) * (size - widths + 1)).astype(np.int64)
    cell = np.arange(size)
    inside = (cell >= starts[..., None]) & (cell < (starts + widths)[..., None])
    return torch.from_numpy(inside.any(1))
