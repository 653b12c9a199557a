"""Augmentation of training segments, drawn for each utterance of each step.

The effects of a recording session, simulated on log-mel frames: a channel multiplies the energy of
a band (an offset, in nat), noise adds to it, a room smears it over time. Everything works on
features (B, T, n_mels) on the device and is a function of (seed, step).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kaggle_hw4.data.segments import AUGMENTATION, MASKS
from kaggle_hw4.device import upload
from kaggle_hw4.padding import Mask, mean_of, zero_padding
from kaggle_hw4.recipe import AugmentConfig

ORDERS = 6  # cosines over the bands that a smooth spectrum is a sum of
TAIL = 20  # frames of a reverberant tail, 10 ms each
NOISE_SPAN = 25.0  # dB: SNRs are drawn from noise_snr to noise_snr + this
REVERBERATION_TIME = (0.2, 0.8)  # s until a tail has fallen by 60 dB
REVERBERATION_LEVEL = (-20.0, -5.0)  # dB of its first frame
LOST_BANDS = (6, 12)  # the most bands that a band limit removes at the lower and upper end
FLOOR = 1e-9  # energy: the competition's own floor, -20.7 nat
NAT = math.log(10) / 10  # nat in a dB


@dataclass(frozen=True)
class Channel:
    """Channel statistics of the B utterances of a batch, both (B, n_mels), on its device."""

    mean: Tensor
    quiet: Tensor


class Augmenter:
    """The augmentation of one training step."""

    def __init__(self, augment: AugmentConfig, seed: int, step: int) -> None:
        self.augment = augment
        self.random = np.random.default_rng([seed, AUGMENTATION, step])
        self.mask_random = np.random.default_rng([seed, MASKS, step])

    def __call__(
        self, x: Tensor, mask: Mask, own: Channel | None = None, other: Channel | None = None
    ) -> Tensor:
        """Augment features `x` (B, T, n_mels) with their mask (B, T); padding stays zero.

        A channel swap needs the `own` channels of these utterances and the `other` channels that
        replace them.
        """
        a, B = self.augment, len(x)
        if a.channel_swap and own is not None and other is not None:
            x = self._sometimes(
                a.channel_swap, x, channel_swap(x, own, other, self._normal(x, B, 1))
            )
        if a.reverberation:
            low, high = REVERBERATION_TIME
            seconds = low + (high - low) * self._uniform(x, B, 1)
            low, high = REVERBERATION_LEVEL
            level = low + (high - low) * self._uniform(x, B, 1)
            x = self._sometimes(a.reverberation, x, reverberate(x, mask, seconds, level))
        if a.random_eq:
            x = x + a.random_eq * smooth_spectrum(self._normal(x, B, ORDERS), x.shape[2])[:, None]
        if a.noise:
            x = self._sometimes(a.noise, x, self._noisy(x, mask))
        if a.gain:
            x = (x + a.gain * self._normal(x, B, 1, 1)).clamp_min(math.log(FLOOR))
        if a.band_limit:
            x = self._sometimes(a.band_limit, x, self._band_limited(x, mask))
        x = spec_augment(x, mask, a, self.mask_random)
        return zero_padding(x, mask)

    def _noisy(self, x: Tensor, mask: Mask) -> Tensor:
        """`x` in noise of a random smooth spectrum and a slow modulation, at a random SNR."""
        a, (B, T, n_mels) = self.augment, x.shape
        snr = a.noise_snr + NOISE_SPAN * self._uniform(x, B, 1, 1)
        level = loudness(x, mask)[:, None, None]
        colour = 2 * smooth_spectrum(self._normal(x, B, ORDERS), n_mels)[:, None]
        modulation = (
            a.noise_modulation * interpolate(self._normal(x, B, 2 + T // 25), T)[:, :, None]
        )
        jitter = 0.5 * torch.randn_like(x)  # fluctuation of a band's energy in one frame
        return torch.logaddexp(x, level - NAT * snr + colour + modulation + jitter)

    def _band_limited(self, x: Tensor, mask: Mask) -> Tensor:
        """`x` with bands at both ends replaced by their means, as of a narrow-band recording."""
        B, _, n_mels = x.shape
        band = np.arange(n_mels)
        lowest = self.random.integers(0, LOST_BANDS[0] + 1, (B, 1))
        removed = self.random.integers(0, LOST_BANDS[1] + 1, (B, 1))
        outside = upload((band < lowest) | (band >= n_mels - removed), x.device)
        return torch.where(outside[:, None], band_mean(x, mask), x)

    def _sometimes(self, probability: float, x: Tensor, changed: Tensor) -> Tensor:
        """`changed` for a random selection of the utterances, `x` for the others."""
        chosen = upload(self.random.random(len(x)) < probability, x.device)
        return torch.where(chosen[:, None, None], changed, x)

    def _normal(self, like: Tensor, *shape: int) -> Tensor:
        return upload(self.random.standard_normal(shape, np.float32), like.device)

    def _uniform(self, like: Tensor, *shape: int) -> Tensor:
        return upload(self.random.random(shape, np.float32), like.device)


def channel_swap(x: Tensor, own: Channel, other: Channel, level: Tensor) -> Tensor:
    """`x` with another utterance's mean spectrum and its noise floor, shifted by `level` (B, 1), in
    nat.
    """
    shifted = x + (other.mean - own.mean)[:, None]
    return torch.logaddexp(shifted, (other.quiet + level)[:, None])


def reverberate(x: Tensor, mask: Mask, seconds: Tensor, level: Tensor) -> Tensor:
    """`x` with an exponential tail after every frame: it starts at `level` dB (B, 1) and falls by
    60 dB in `seconds` (B, 1).
    """
    frame = torch.arange(1, TAIL + 1, device=x.device)
    tail = torch.exp(NAT * (level - 60 * 0.01 * frame / seconds))  # (B, TAIL)
    kernel = F.pad(tail, (1, 0), value=1.0).flip(1)
    energy = zero_padding(x.exp(), mask)
    # One group per utterance: each has its own tail.
    rows = F.pad(energy.transpose(1, 2), (TAIL, 0)).transpose(0, 1)  # (n_mels, B, TAIL + T)
    smeared = F.conv1d(rows, kernel[:, None], groups=len(x)).transpose(0, 1).transpose(1, 2)
    return smeared.clamp_min(FLOOR).log()


def smooth_spectrum(coefficients: Tensor, n_mels: int) -> Tensor:
    """Smooth spectra (B, n_mels) from `coefficients` (B, n): a sum of n cosines over the bands, the
    slower ones with the larger weights.
    """
    order = torch.arange(1, coefficients.shape[1] + 1, device=coefficients.device)
    band = torch.arange(n_mels, device=coefficients.device) + 0.5
    cosines = torch.cos(math.pi * order[:, None] * band / n_mels)
    return (coefficients / order.sqrt()) @ cosines


def interpolate(knots: Tensor, T: int) -> Tensor:
    """A slow curve (B, T): linear between equally spaced `knots` (B, n)."""
    return F.interpolate(knots[:, None], T, mode="linear", align_corners=True)[:, 0]


def loudness(x: Tensor, mask: Mask) -> Tensor:
    """The mean energy (B,) of the unpadded frames over time and bands, in nat."""
    return mean_of(x.exp().mean(2, keepdim=True), mask)[:, 0].clamp_min(FLOOR).log()


def band_mean(x: Tensor, mask: Mask) -> Tensor:
    """Each band's mean (B, 1, n_mels) over the unpadded frames."""
    return mean_of(x, mask)[:, None]


def spec_augment(
    x: Tensor, mask: Mask, config: AugmentConfig, random: np.random.Generator
) -> Tensor:
    """SpecAugment (Park et al. 2019) on features (B, T, n_mels), drawn for each utterance.

    Masked cells take their band's mean over the segment's unpadded frames, so that a masked band
    is exactly zero once the frontend has subtracted the mean.
    """
    if not (
        config.freq_masks * config.freq_mask_width or config.time_masks * config.time_mask_width
    ):
        return x
    B, T, n_mels = x.shape
    bands = draw_masks(random, (B, config.freq_masks), n_mels, config.freq_mask_width)
    times = draw_masks(random, (B, config.time_masks), T, int(config.time_mask_width * T))
    masked = upload(times, x.device)[:, :, None] | upload(bands, x.device)[:, None, :]
    return zero_padding(torch.where(masked, band_mean(x, mask), x), mask)


def draw_masks(
    random: np.random.Generator, shape: tuple[int, int], size: int, width: int
) -> np.ndarray:
    """Masks (B, size): true within random intervals of 0 to `width` cells each.

    `shape` is (B, number of intervals).
    """
    widths = random.integers(0, min(width, size) + 1, shape)
    starts = (random.random(shape) * (size - widths + 1)).astype(np.int64)
    cell = np.arange(size)
    inside = (cell >= starts[..., None]) & (cell < (starts + widths)[..., None])
    return np.asarray(inside.any(1))
