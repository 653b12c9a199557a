"""SpecAugment masks within its bounds, each utterance its own way."""

import torch

from kaggle_hw4.data.augment import spec_augment
from kaggle_hw4.recipe import Augment

MASKS = Augment(band_masks=2, band_width=6, time_masks=2, time_width=0.2)
OFF = Augment(band_masks=0, band_width=0, time_masks=0, time_width=0.0)


def features() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(64, 50, 40) - 8, torch.ones(64, 50, dtype=torch.bool)


def test_masks_are_bounded_and_differ_between_utterances() -> None:
    x, mask = features()
    changed = spec_augment(x, mask, MASKS, seed=0, step=0) != x
    bands, times = changed.all(1).sum(1), changed.all(2).sum(1)
    assert 0 < bands.float().mean() <= 12
    assert 0 < times.float().mean() <= 20
    assert bands.max() <= 12
    assert times.max() <= 20
    assert len({row.tobytes() for row in changed.flatten(1).numpy()}) > 60


def test_a_masked_band_holds_its_own_mean() -> None:
    x, mask = features()
    only_bands = MASKS.model_copy(update={"time_masks": 0})
    y = spec_augment(x, mask, only_bands, seed=0, step=0)
    torch.testing.assert_close(y.mean(1), x.mean(1))
    assert not torch.equal(x, y)


def test_masks_are_a_function_of_seed_and_step() -> None:
    x, mask = features()
    assert torch.equal(spec_augment(x, mask, MASKS, 1, 2), spec_augment(x, mask, MASKS, 1, 2))
    assert not torch.equal(spec_augment(x, mask, MASKS, 1, 2), spec_augment(x, mask, MASKS, 1, 3))


def test_padding_stays_padding_and_no_masks_change_nothing() -> None:
    x, mask = features()
    mask[:, 30:] = False
    x = x.masked_fill(~mask.unsqueeze(-1), 0)
    assert not spec_augment(x, mask, MASKS, 0, 0)[:, 30:].any()
    assert spec_augment(x, mask, OFF, 0, 0) is x
