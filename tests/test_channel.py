"""Channel statistics: percentiles are numpy's, to the bit."""

import numpy as np
import pytest

from kaggle_hw4.data.channel import LOUD, QUIET, percentiles


@pytest.mark.parametrize("frames", [1, 2, 3, 21, 91, 657, 7193])
def test_percentiles_are_numpys_to_the_bit(frames: int) -> None:
    x = np.random.default_rng(frames).normal(-2, 5, (frames, 40)).astype(np.float32)
    x[x < -8] = -20.7233  # the floor, which many frames share
    expected = np.percentile(x, (QUIET, LOUD), axis=0)
    assert np.array_equal(percentiles(x, (QUIET, LOUD)), expected)
