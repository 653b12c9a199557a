"""Synthetic speech: log-mel features from a voice source, a vocal tract and a recording session.

The source-filter model of speech (Fant 1960), as power in the FFT bins of `room`. Vowel formants
are those of men in Peterson and Barney (1952). Every random number is a function of (seed, speaker,
session, utterance) and of nothing else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from kaggle_hw4.synth.room import (
    FILTERS,
    HZ,
    Array,
    Real,
    Session,
    curve,
    fluctuation,
    mel,
    record,
    smooth,
)

MIN_FRAMES, MAX_FRAMES = 91, 7193  # frames of an utterance of the competition
Indices = NDArray[np.intp]

LOBE = 24.0  # Hz; standard deviation of a Gaussian like the main lobe of a 25 ms Hann window

# Phones: F1-F3 (Hz), a factor of their bandwidths, powers of voicing and of frication noise (dB),
# the noise's centre (Hz) and spread (mel), duration (ms).
VOWELS = """
iy  270 2290 3010 1   0 -60 3000 500  95    ih  390 1990 2550 1   0 -60 2500 500  70
ey  450 2100 2650 1   0 -60 2500 500 105    eh  530 1840 2480 1   0 -60 2500 500  80
ae  660 1720 2410 1   0 -60 2500 500 115    aa  730 1090 2440 1   0 -60 2500 500 110
ao  570  840 2410 1   0 -60 2500 500 110    ah  640 1190 2390 1   0 -60 2500 500  75
ow  460  920 2350 1   0 -60 2500 500 105    uh  440 1020 2240 1  -1 -60 2500 500  70
uw  300  870 2240 1  -2 -60 2500 500  95    er  490 1350 1690 1  -1 -60 2500 500 100
ax  500 1480 2500 1  -3 -60 2500 500  50    ix  400 1800 2550 1  -3 -60 2500 500  50
"""
CONSONANTS = """
m   250 1050 2200 3  -5 -60 2500 500  65    n   250 1550 2600 3  -5 -60 2500 500  60
ng  250 2000 2750 3  -6 -60 2500 500  65    l   360 1050 2750 2  -4 -60 2500 500  60
r   330 1200 1600 2  -4 -60 2500 500  60    w   300  700 2200 2  -4 -60 2500 500  60
y   260 2200 3000 2  -4 -60 2500 500  55    dx  350 1700 2600 2  -9 -52 3500 400  25
v   300 1100 2300 2 -10 -29 4500 900  55    dh  300 1400 2500 2 -10 -29 5000 900  45
z   300 1650 2550 2 -13 -16 5800 260  75    zh  300 1900 2450 2 -13 -15 3400 330  75
f   350 1100 2300 2 -60 -24 5000 950  90    th  350 1400 2500 2 -60 -25 5500 900  85
s   350 1650 2550 2 -60 -10 6000 240 105    sh  350 1900 2450 2 -60  -9 3300 320 105
h   500 1500 2500 3 -60 -20 1800 700  55
"""
STOPS = """
p   350 1000 2200 2 -60 -22 1200 700  35    b   300 1000 2200 2 -12 -25 1000 700  20
t   350 1750 2650 2 -60 -12 4300 500  45    d   300 1750 2650 2 -12 -17 3900 500  20
k   350 1900 2400 2 -60 -15 2200 380  50    g   300 1900 2400 2 -12 -19 2000 380  25
ch  350 1900 2450 2 -60  -9 3500 330  75    jh  300 1900 2450 2 -13 -12 3400 330  50
"""
GAPS = """
cl  350 1500 2500 3 -60 -60 2500 500  50    vcl 250 1200 2400 4 -16 -60 2500 500  45
sil 500 1500 2500 3 -60 -60 2500 500  70
"""

F, BANDWIDTH, VOICE, NOISE, CENTRE, SPREAD, MS = slice(0, 3), 3, 4, 5, 6, 7, 8


def parse_phones(phones: str) -> Array:
    """The columns above, a row per phone; formants in log Hz, the noise's centre in mel."""
    rows = np.array(phones.split()).reshape(-1, 10)[:, 1:].astype(np.float32)
    rows[:, F] = np.log(rows[:, F])
    rows[:, CENTRE] = mel(rows[:, CENTRE])
    return rows


PHONES = np.concatenate([parse_phones(rows) for rows in (VOWELS, CONSONANTS, STOPS, GAPS)])
CLOSURE, VOICED_CLOSURE, PAUSE = range(len(PHONES) - 3, len(PHONES))
FIRST_CONSONANT, FIRST_STOP = len(parse_phones(VOWELS)), CLOSURE - len(parse_phones(STOPS))


@dataclass(frozen=True)
class Speaker:
    """The properties of a person that are the same in every session."""

    pitch: float  # mean, log Hz
    pitch_range: float  # standard deviation of the pitch accents, log Hz
    tilt: float  # of the glottal spectrum; 1 is -6 dB per octave after lip radiation
    breath: float  # power of aspiration relative to voicing, dB
    rate: float  # log factor of durations
    coda: float  # probability that a syllable ends in a consonant
    pause: float  # probability of a pause after a syllable
    phones: Array  # PHONES, as this person pronounces them
    tract: Array  # (201,) power response of the constant formants, F4 to F9
    colour: Array  # (40,) log power response of everything else

    @classmethod
    def draw(cls, rng: Generator) -> "Speaker":
        """A random speaker."""
        woman = rng.random() < 0.4
        tract = 0.13 * woman + rng.normal(0, 0.045)  # a shorter one raises all formants
        upper = np.arange(3500.0, 9000, 1000) * np.exp(tract + rng.normal(0, 0.02, 6))
        widths = 0.09 * upper * np.exp(rng.normal(0, 0.3, 6))
        return cls(
            pitch=float(4.8 + 0.5 * woman + rng.normal(0, 0.14)),
            pitch_range=float(0.11 * np.exp(rng.normal(0, 0.3))),
            tilt=float(rng.normal(0.75, 0.15)),
            breath=float(rng.normal(-24, 4)),
            rate=float(rng.normal(0, 0.13)),
            coda=float(rng.uniform(0.25, 0.6)),
            pause=float(rng.uniform(0.04, 0.16)),
            phones=pronounce(rng, tract),
            tract=resonance(upper, widths).prod(0),
            colour=curve(rng, 0.6),
        )


def pronounce(rng: Generator, tract: float) -> Array:
    """PHONES of one speaker, whose vocal tract raises all formants by exp(`tract`)."""
    phones, count = PHONES.copy(), len(PHONES)
    phones[:, F] += tract + rng.normal(0, 0.04, 3) + rng.normal(0, 0.035, (count, 3))
    phones[:, BANDWIDTH] *= np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.15, count))
    phones[:, VOICE] += rng.normal(0, 1.2, count)
    phones[:, NOISE] += rng.normal(0, 2) + rng.normal(0, 2, count)
    phones[:, CENTRE] += 600 * tract + rng.normal(0, 70, count)
    phones[:, SPREAD] *= np.exp(rng.normal(0, 0.2, count))
    phones[:, MS] *= np.exp(rng.normal(0, 0.15, count))
    return phones


def utterance(seed: int, speaker: int, session: int, index: int, frames: float) -> Array:
    """Features (T, 40), natural-log mel power every 10 ms; T is log-normal with median `frames`."""
    person = Speaker.draw(default_rng([seed, 1, speaker]))
    conditions = Session.draw(default_rng([seed, 2, speaker, session]))
    rng = default_rng([seed, 3, speaker, session, index])
    length = int(np.clip(frames * np.exp(rng.normal(0, 0.411)), MIN_FRAMES, MAX_FRAMES))
    phones, syllables = draw_phones(rng, person, conditions, length)
    speech = synthesise(rng, person, conditions, phones, syllables)
    return record(rng, conditions, speech, phones == PAUSE)


def draw_phones(
    rng: Generator, speaker: Speaker, session: Session, length: int
) -> tuple[Indices, Indices]:
    """The phone and the syllable (T,) of each of `length` frames."""
    count = length // 2 + 8  # enough: a vowel lasts two frames or more
    # The syllables: a vowel between consonants, then perhaps a pause.
    vowel = rng.integers(0, FIRST_CONSONANT, count)
    onset, coda = rng.integers(FIRST_CONSONANT, CLOSURE, (2, count))
    pause = np.full(count, PAUSE)
    parts = np.stack([closure(onset), onset, vowel, closure(coda), coda, pause], axis=1)
    # Which parts each syllable has; a stop is preceded by its closure.
    probabilities = [[0.85], [speaker.coda], [speaker.pause]]
    has_onset, has_coda, has_pause = rng.random((3, count)) < probabilities
    present = [has_onset & (onset >= FIRST_STOP), has_onset, np.ones(count, bool)]
    present += [has_coda & (coda >= FIRST_STOP), has_coda, has_pause]
    # Durations in frames, never below two.
    stretch = np.exp(speaker.rate + session.rate + rng.normal(0, 0.25, parts.shape))
    durations = np.maximum(2, np.rint(speaker.phones[parts, MS] / 10 * stretch)).astype(int)
    durations *= np.stack(present, axis=1)
    syllables = np.repeat(np.arange(count), durations.sum(1))
    begin = rng.integers(0, 12)  # an utterance may start inside a syllable
    cut = slice(begin, begin + length)
    return np.repeat(parts.ravel(), durations.ravel())[cut], syllables[cut]


def closure(stops: Indices) -> Indices:
    """The closure before each stop; in the table of stops every second one is voiced."""
    return np.where((stops - FIRST_STOP) % 2, VOICED_CLOSURE, CLOSURE)


def synthesise(
    rng: Generator, speaker: Speaker, session: Session, phones: Indices, syllables: Indices
) -> Array:
    """Mel power (T, 40) of the voice, before room, noise and channel."""
    # The filter: formants that move, and those that do not.
    track = coarticulate(rng, speaker.phones[phones], syllables)
    voice, noise = 10 ** (track[:, [VOICE, NOISE]].T[:, :, None] / 10)
    voice = voice * speaker.tract
    for f, width in zip(np.exp(track[:, F].T), (60, 80, 120), strict=True):
        voice *= resonance(f, width * track[:, BANDWIDTH])
    # The sources: glottal pulses, aspiration and frication.
    x = (HZ / 120) ** 2
    glottis = x / (1 + x) ** (1 + speaker.tilt - session.effort)
    breath = 10 ** (speaker.breath / 10) * x / (100 + x)
    noise = noise * np.exp(-0.5 * ((mel(HZ) - track[:, [CENTRE]]) / track[:, [SPREAD]]) ** 2)
    harmonics = (voice * glottis * comb(intonation(rng, speaker, session, syllables))) @ FILTERS
    harmonics *= np.exp(rng.normal(0, 0.35, harmonics.shape))  # shimmer
    hiss = (voice * breath.astype(np.float32) + noise) @ FILTERS * fluctuation(rng, len(phones))
    return np.asarray((harmonics + hiss) * np.exp(speaker.colour), np.float32)


def coarticulate(rng: Generator, track: Array, syllables: Indices) -> Array:
    """Phone targets (T, 9) with random variation and stress, smoothed as articulators move."""
    count = syllables[-1] + 1
    track[:, F] += rng.normal(0, 0.045, (count, 3))[syllables]
    track[:, F] += smooth(rng.normal(0, 0.1, (len(track), 3)), 15)
    track[:, VOICE] += rng.normal(0, 1.5, count)[syllables]
    slow, fast = smooth(track, 9), smooth(track, 3)  # tongue; glottis and lips
    slow[:, [VOICE, NOISE]] = fast[:, [VOICE, NOISE]]
    return slow


def intonation(rng: Generator, speaker: Speaker, session: Session, syllables: Indices) -> Array:
    """Pitch (T,) in Hz: accents on a declination over each phrase, and jitter."""
    frames = len(syllables)
    accents = rng.normal(0, speaker.pitch_range, syllables[-1] + 1)[syllables]
    phrase = (np.arange(frames) / rng.uniform(120, 250) + rng.random()) % 1
    pitch = speaker.pitch + session.pitch + rng.normal(0, 0.03) + smooth(accents[:, None], 15)[:, 0]
    pitch += 0.25 * (0.5 - phrase) + rng.normal(0, 0.01, frames)
    return np.asarray(np.exp(pitch), np.float32)


def comb(pitch: Array) -> Array:
    """Power (T, 201) of harmonics of equal power, 1 on average, resolved where far apart."""
    pitch = pitch[:, None]
    width = np.minimum(np.hypot(LOBE, 0.012 * HZ), 0.45 * pitch)  # jitter blurs the upper ones
    distance = np.abs(HZ - pitch * np.rint(HZ / pitch))
    nearest, second = distance / width, (pitch - distance) / width  # harmonics around each bin
    lobes = np.exp(-0.5 * nearest**2) + np.exp(-0.5 * second**2)
    return np.asarray(lobes * pitch / width / np.sqrt(2 * np.pi), np.float32)


def resonance(f: Real, width: Real) -> Array:
    """Power response (N, 201) of formants at `f` with bandwidths `width`, both (N,) in Hz."""
    x = (HZ / f[:, None]) ** 2
    return np.asarray(1 / ((1 - x) ** 2 + x * (width / f)[:, None] ** 2), np.float32)
