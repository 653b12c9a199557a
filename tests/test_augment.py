"""Augmentation simulates other sessions, differently for each utterance, and keeps padding zero."""

import numpy as np
import pytest
import torch

from kaggle_hw4.data.augment import (
    FLOOR,
    Augmenter,
    Channel,
    band_mean,
    channel_swap,
    draw_masks,
    interpolate,
    loudness,
    reverberate,
    smooth_spectrum,
    spec_augment,
)
from kaggle_hw4.recipe import AugmentConfig
from tests.conftest import tiny

OFF = tiny("simple").augment
MASKS = OFF.model_copy(
    update={"freq_masks": 2, "freq_mask_width": 6, "time_masks": 2, "time_mask_width": 0.2}
)
KINDS = {
    "reverberation": 1.0,
    "noise": 1.0,
    "gain": 1.0,
    "random_eq": 1.0,
    "band_limit": 1.0,
}


def features() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(64, 50, 40, generator=torch.Generator().manual_seed(3)) - 8
    return x, torch.ones(64, 50, dtype=torch.bool)


def channel(mean: float, quiet: float) -> Channel:
    return Channel(torch.full((64, 40), mean), torch.full((64, 40), quiet))


def masked(x: torch.Tensor, mask: torch.Tensor, augment: AugmentConfig, step: int) -> torch.Tensor:
    return spec_augment(x, mask, augment, np.random.default_rng(step))


def test_masks_are_bounded_and_differ_between_utterances() -> None:
    x, mask = features()
    changed = masked(x, mask, MASKS, 0) != x
    bands, times = changed.all(1).sum(1), changed.all(2).sum(1)
    assert 0 < bands.float().mean() <= 12
    assert 0 < times.float().mean() <= 20
    assert bands.max() <= 12
    assert times.max() <= 20
    assert len({row.tobytes() for row in changed.flatten(1).numpy()}) > 60


def test_a_masked_band_holds_its_own_mean() -> None:
    x, mask = features()
    y = masked(x, mask, MASKS.model_copy(update={"time_masks": 0}), 0)
    torch.testing.assert_close(y.mean(1), x.mean(1))
    assert not torch.equal(x, y)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_changes_each_utterance_differently(kind: str) -> None:
    x, mask = features()
    same = x[:1].expand_as(x)
    y = Augmenter(OFF.model_copy(update={kind: KINDS[kind]}), 0, 0)(same, mask)
    assert y.isfinite().all()
    assert len({row.tobytes() for row in y.flatten(1).numpy()}) > 40


@pytest.mark.parametrize("kind", KINDS)
def test_augmentation_is_a_function_of_seed_and_step(kind: str) -> None:
    x, mask = features()

    def at(step: int) -> torch.Tensor:
        torch.manual_seed(step)
        return Augmenter(OFF.model_copy(update={kind: KINDS[kind]}), 1, step)(x, mask)

    assert torch.equal(at(2), at(2))
    assert not torch.equal(at(2), at(3))


@pytest.mark.parametrize("kind", [*KINDS, "time_mask_width"])
def test_padding_stays_zero_and_changes_nothing(kind: str) -> None:
    x, mask = features()
    mask[:, 30:] = False
    config = MASKS.model_copy(update={kind: 1.0})
    augmented = []
    for padding in (0.0, 5.0):
        torch.manual_seed(0)
        augmented.append(Augmenter(config, 0, 0)(x.masked_fill(~mask.unsqueeze(-1), padding), mask))
    assert not augmented[0][:, 30:].any()
    torch.testing.assert_close(augmented[0], augmented[1])


def test_a_recipe_without_augmentation_changes_nothing() -> None:
    x, mask = features()
    assert torch.equal(Augmenter(OFF, 0, 0)(x, mask), x)


def test_noise_adds_energy_and_more_of_it_at_a_lower_snr() -> None:
    x, mask = features()
    added = []
    for snr in (0.0, 20.0):
        torch.manual_seed(0)
        noisy = OFF.model_copy(update={"noise": 1.0, "noise_snr": snr})
        added.append(float((Augmenter(noisy, 0, 0)(x, mask) - x).mean()))
    assert added[0] > added[1] > 0


def test_half_of_the_utterances_stay_clean_at_a_probability_of_half() -> None:
    x, mask = features()
    y = Augmenter(OFF.model_copy(update={"noise": 0.5}), 0, 0)(x, mask)
    assert 16 < (y == x).flatten(1).all(1).sum() < 48


def test_reverberation_leaves_a_tail_that_falls_60_db_in_its_time() -> None:
    x = torch.full((1, 40, 40), -20.0)
    x[:, 2] = 0.0
    mask = torch.ones(1, 40, dtype=torch.bool)
    y = reverberate(x, mask, seconds=torch.tensor([[0.15]]), level=torch.tensor([[-3.0]]))
    decibels = y[0, :, 0] * 10 / np.log(10)
    assert decibels[2] == pytest.approx(0, abs=1e-3)
    assert decibels[3] - decibels[13] == pytest.approx(40, abs=0.2)
    assert (y[:, :2] < -19).all(), "the tail comes after its frame"


def test_every_utterance_has_its_own_reverberation() -> None:
    x, mask = features()
    seconds, level = torch.full((64, 1), 0.3), torch.full((64, 1), -5.0)
    seconds[1] = 0.8
    together = reverberate(x, mask, seconds, level)
    alone = reverberate(x[1:2], mask[1:2], seconds[1:2], level[1:2])
    torch.testing.assert_close(together[1:2], alone)


def test_a_channel_swap_shifts_the_mean_and_adds_the_noise_floor() -> None:
    x, _ = features()
    silent = torch.full((64, 1), -100.0)
    shifted = channel_swap(x, channel(-8, -12), channel(-5, -12), silent)
    torch.testing.assert_close(shifted, x + 3)
    noisy = channel_swap(x, channel(-8, -12), channel(-8, -4), torch.zeros(64, 1))
    assert (noisy > -4).all()


def test_a_swapped_channel_is_the_other_utterances() -> None:
    x, mask = features()
    swap = Augmenter(OFF.model_copy(update={"channel_swap": 1.0}), 0, 0)
    torch.testing.assert_close(swap(x, mask, channel(-8, -12), channel(-5, -200)), x + 3)


def test_gain_stops_at_the_floor() -> None:
    x, mask = features()
    gain = OFF.model_copy(update={"gain": 10.0})
    assert Augmenter(gain, 0, 0)(x - 12, mask).min() >= np.float32(np.log(FLOOR))


def test_a_band_limit_removes_bands_at_the_ends() -> None:
    x, mask = features()
    y = Augmenter(OFF.model_copy(update={"band_limit": 1.0}), 0, 0)(x, mask)
    lost = (y.var(1) < 1e-9).float().mean(0)
    assert lost[0] > 0.5
    assert lost[-1] > 0.5
    assert lost[10:25].sum() == 0


def test_a_smooth_spectrum_is_smooth_and_an_interpolated_curve_slow() -> None:
    spectrum = smooth_spectrum(torch.randn(1000, 6), 40)
    assert spectrum.diff(dim=1).std() < 0.4 * spectrum.std()
    curve = interpolate(torch.randn(1000, 8), 200)
    assert curve.diff(dim=1).std() < 0.1 * curve.std()


def test_loudness_and_band_means_are_those_of_the_real_frames() -> None:
    x, mask = features()
    mask[:, 30:] = False
    real = x[:, :30], mask[:, :30]
    torch.testing.assert_close(loudness(x, mask), loudness(*real))
    torch.testing.assert_close(band_mean(x, mask), band_mean(*real))
    torch.testing.assert_close(loudness(torch.full_like(x, -3), mask), torch.full((64,), -3.0))


def test_noise_fluctuates_from_frame_to_frame_by_half_a_nat() -> None:
    x, mask = features()
    torch.manual_seed(0)
    loud = {"noise": 1.0, "noise_snr": -200.0, "noise_modulation": 0.0}
    y = Augmenter(OFF.model_copy(update=loud), 0, 0)(x, mask)
    assert y.std(1).mean() == pytest.approx(0.5, abs=0.02)


def test_a_room_answers_5_to_23_db_below_a_frame() -> None:
    """A tail starts at -20 to -5 dB and has fallen by 0.75 to 3 dB after its first 10 ms."""
    x = torch.full((500, 20, 40), -20.0)
    x[:, 2] = 0.0
    mask = torch.ones(500, 20, dtype=torch.bool)
    y = Augmenter(OFF.model_copy(update={"reverberation": 1.0}), 0, 0)(x, mask)
    first = y[:, 3, 0] * 10 / np.log(10)
    assert -23 < first.min() < -21
    assert -8 < first.max() < -5.75


def test_a_band_limit_removes_up_to_6_low_and_12_high_bands_or_none() -> None:
    x = torch.randn(500, 20, 40, generator=torch.Generator().manual_seed(0)) - 8
    mask = torch.ones(500, 20, dtype=torch.bool)
    y = Augmenter(OFF.model_copy(update={"band_limit": 1.0}), 0, 0)(x, mask)
    lost = y.var(1) < 1e-9
    low, high = lost[:, :20].sum(1), lost[:, 20:].sum(1)
    assert (low.min(), low.max()) == (0, 6)
    assert (high.min(), high.max()) == (0, 12)


def test_masks_reach_both_ends_and_every_width() -> None:
    masks = draw_masks(np.random.default_rng(0), (2000, 1), 10, 3)
    assert masks.any(0).all()
    assert set(masks.sum(1).tolist()) == {0, 1, 2, 3}
    assert draw_masks(np.random.default_rng(0), (200, 1), 2, 9).all(1).any(), "or everything"
