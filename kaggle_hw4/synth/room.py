"""The acoustics of a recording session: room, noise and channel.

Everything is power, every 10 ms, in the competition's 40 mel filters over the 201 bins of a
400-point FFT at 16 kHz.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from kaggle_hw4.competition import N_MELS

Array = NDArray[np.float32]
Real = NDArray[np.floating]

FLOOR = 1e-9  # power: exp(LOG_FLOOR) of the competition
HZ = np.linspace(0, 8000, 201, dtype=np.float32)  # the bins of n_fft 400 at 16 kHz


def mel(hz: Real) -> Array:
    """Frequencies on the mel scale."""
    return np.asarray(2595 * np.log10(1 + hz / 700), np.float32)


def mel_filters() -> Array:
    """Triangles (201, 40), evenly spaced in mel from 50 Hz to 8 kHz."""
    low, high = mel(np.array([50.0, 8000.0]))
    edges = 700 * (10 ** (np.linspace(low, high, N_MELS + 2) / 2595) - 1)
    rise = (HZ[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - HZ[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rise, fall)), np.float32)


FILTERS = mel_filters()
# Half of the degrees of freedom of noise in a band; a Hann window correlates neighbouring bins.
GAMMA_SHAPE = np.maximum(1, FILTERS.sum(0) ** 2 / (FILTERS**2).sum(0) / 1.5)


@dataclass(frozen=True)
class Session:
    """One recording session: how the speaker talks on that day, room, noise and channel."""

    pitch: float  # added to the speaker's, log Hz
    effort: float  # vocal effort: subtracted from the speaker's spectral tilt
    rate: float  # added to the speaker's log factor of durations
    reverberation: float  # its initial power relative to the direct sound
    decay: Array  # (40,) factor of the reverberation's power from frame to frame
    noise: Array  # (40,) log power spectrum, up to a constant
    snr: float  # dB
    modulation: float  # depth of the noise's slow modulation, nat
    channel: Array  # (40,) log power response
    gate: float  # probability that a frame of a pause is digital silence, as of a noise gate

    @classmethod
    def draw(cls, rng: Generator) -> "Session":
        """A random session."""
        t60 = rng.uniform(0.15, 0.8) * np.exp(np.linspace(0.2, -0.5, N_MELS))  # seconds
        return cls(
            pitch=float(rng.normal(0, 0.06)),
            effort=float(rng.normal(0, 0.12)),
            rate=float(rng.normal(0, 0.08)),
            reverberation=float(np.exp(rng.uniform(-6, -2.5))),
            decay=np.exp(-6 * np.log(10) * 0.01 / t60).astype(np.float32),
            noise=curve(rng, 0.7) - np.linspace(0, rng.uniform(0, 4), N_MELS, dtype=np.float32),
            snr=float(rng.uniform(8, 36)),
            modulation=float(rng.uniform(0.1, 0.9)),
            channel=curve(rng, 0.6) + band_limits(rng),
            gate=0.25 * (rng.random() < 0.5),
        )


def band_limits(rng: Generator) -> Array:
    """The log response (40,) of a high-pass and, in a quarter of sessions, a codec's low-pass."""
    band = np.arange(N_MELS)
    high_pass = rng.uniform(0.3, 1.2) * np.minimum(0, band - rng.uniform(0, 6))
    last = rng.uniform(33, 39) if rng.random() < 0.25 else N_MELS
    return np.asarray(high_pass - 8 * np.clip(band - last, 0, 4), np.float32)


def record(rng: Generator, session: Session, speech: Array, pause: NDArray[np.bool_]) -> Array:
    """Log-mel features (T, 40) of `speech`, mel power (T, 40), recorded in `session`; `pause` (T,)
    says which frames are without speech.
    """
    power = speech + session.reverberation * reverberate(speech, session.decay)
    modulation = session.modulation * smooth(rng.normal(0, 3, (len(power), 1)), 41)
    noise = fluctuation(rng, len(power)) * np.exp(session.noise + modulation)
    snr = session.snr + rng.normal(0, 2)
    power += noise * (power.mean() / noise.mean() / 10 ** (snr / 10))
    power *= np.exp(session.channel + curve(rng, 0.08))  # head movement
    power *= np.exp(rng.normal(8.1, 0.3)) / power.sum(1).max()  # normalised to a peak of -3 dB
    power[pause & (rng.random(len(power)) < session.gate)] = 0
    return np.asarray(np.log(np.maximum(power, FLOOR)), np.float32)


def reverberate(power: Array, decay: Array) -> Array:
    """The exponential tails (T, 40) of all frames of `power`, each over the 127 frames after it.

    The tail doubles in length with each step of the loop.
    """
    tail = power.copy()
    for lag in (1, 2, 4, 8, 16, 32, 64):
        tail[lag:] += decay**lag * tail[:-lag]
    return tail - power


def fluctuation(rng: Generator, frames: int) -> Array:
    """The power (T, 40) of white noise of mean 1: chi-square, with less variance in wider bands."""
    return np.asarray(rng.standard_gamma(GAMMA_SHAPE, (frames, N_MELS)) / GAMMA_SHAPE, np.float32)


def smooth(track: Real, width: int) -> Array:
    """`track` (T, C) filtered by a Hann window of `width` frames, an odd number; its ends are
    repeated beyond the edges.
    """
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(track, ((width // 2, width // 2), (0, 0)), mode="edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)
    return np.asarray(frames @ (window / window.sum()), np.float32)


def curve(rng: Generator, scale: float) -> Array:
    """A smooth random curve (40,) of mean 0: eight cosines, the faster ones with less amplitude."""
    order = np.arange(1, 9)
    cosines = np.cos(np.pi * np.outer(order, np.arange(N_MELS) + 0.5) / N_MELS)
    return np.asarray(rng.normal(0, 2 * scale / (1 + order)) @ cosines, np.float32)
