"""Reverberation, noise and mel filters agree with theory."""

import numpy as np
import pytest
from numpy.random import default_rng

from kaggle_hw4.competition import N_MELS
from kaggle_hw4.synth import room


def test_reverberation_decays_exponentially() -> None:
    impulse = np.zeros((200, N_MELS), np.float32)
    impulse[10] = 1
    tail = room.reverberate(impulse, np.full(N_MELS, 0.9, np.float32))
    assert not tail[:11].any()
    assert tail[11:60, 0] == pytest.approx(0.9 ** np.arange(1, 50), rel=1e-4)


def test_noise_has_unit_mean_and_less_variance_in_wider_bands() -> None:
    noise = room.fluctuation(default_rng(0), 4000)
    assert noise.mean() == pytest.approx(1, abs=0.02)
    assert noise[:, 0].std() > 2 * noise[:, -1].std()


def test_mel_filters_sum_to_one_between_the_outer_ones() -> None:
    first, last = np.flatnonzero(room.FILTERS[:, 0])[0], room.FILTERS[:, -1].argmax()
    assert room.FILTERS.sum(1)[first + 1 : last] == pytest.approx(1, abs=1e-4)
