"""A batch is a function of the seed and the step; partners are who they should be."""

import numpy as np
import pytest
import torch

from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.packed import Packed
from kaggle_hw4.data.segments import FrameStore, segment_length
from tests.conftest import tiny

CPU = torch.device("cpu")


def batches(packed: Packed, folds: Folds, *settings: str, seed: int = 0) -> Batches:
    recipe = tiny("boss", "augment.noise=0.0", "segments.batch_size=16", *settings)
    return Batches(FrameStore(packed, CPU), folds.training(0), folds.session, recipe, seed)


@pytest.mark.parametrize(
    "setting",
    ["augment.transplant=1.0", "augment.mixup=1.0", "augment.noise=1.0", "segments.shortest=0.5"],
)
def test_a_batch_is_a_function_of_seed_and_step(packed: Packed, folds: Folds, setting: str) -> None:
    def at(seed: int, step: int) -> torch.Tensor:
        torch.manual_seed(0)
        return batches(packed, folds, setting, seed=seed).at(step).features

    assert torch.equal(at(0, 3), at(0, 3))
    assert not torch.equal(at(0, 3), at(0, 4))
    assert not torch.equal(at(0, 3), at(1, 3))


def test_a_mixed_segment_lies_between_its_two(packed: Packed, folds: Folds) -> None:
    plain = batches(packed, folds).at(0)
    mixed = batches(packed, folds, "augment.mixup=1.0").at(0)
    share = mixed.share[:, None, None]
    assert (mixed.share >= 0.5).all()
    assert torch.equal(mixed.partner_labels, plain.labels.roll(1, 0))
    expected = share * plain.features + (1 - share) * plain.features.roll(1, 0)
    torch.testing.assert_close(mixed.features, expected)


def test_a_partner_of_the_same_speaker_comes_from_another_session(
    packed: Packed, folds: Folds
) -> None:
    made = batches(packed, folds, "augment.mixup=1.0", "augment.mixup_with=speaker")
    rows = folds.training(0)
    partners = made._other_sessions(rows, np.random.default_rng(0))
    assert (packed.labels[partners] == packed.labels[rows]).all()
    for row, partner in zip(rows, partners, strict=True):
        same = rows[packed.labels[rows] == packed.labels[row]]
        if len(set(folds.session[same])) > 1:
            assert folds.session[partner] != folds.session[row]
    assert set(partners) <= set(rows)
    batch = made.at(0)
    assert torch.equal(batch.labels, batch.partner_labels)


def test_a_channel_comes_from_another_speaker_of_the_training(packed: Packed, folds: Folds) -> None:
    made = batches(packed, folds, "augment.transplant=1.0")
    rows = np.tile(folds.training(0), 10)
    others = made._other_speakers(rows, np.random.default_rng(0))
    assert (packed.labels[others] != packed.labels[rows]).mean() > 0.99
    assert set(others) <= set(folds.training(0))


def test_lengths_are_drawn_or_grow_and_end_longer(packed: Packed) -> None:
    keys = ("segments.frames=100", "segments.shortest=0.5", "schedule.steps=50")
    drawn = tiny("boss", *keys)
    lengths = [segment_length(0, step, drawn) for step in range(50)]
    assert min(lengths) >= 50
    assert max(lengths) <= 100
    assert len(set(lengths)) > 20
    growing = tiny(
        "boss", *keys, "segments.lengths=growing", "fine_tuning.steps=10", "fine_tuning.frames=130"
    )
    lengths = [segment_length(0, step, growing) for step in range(50)]
    assert lengths[:40] == sorted(lengths[:40])
    assert (lengths[0], lengths[39]) == (50, 100)
    assert lengths[40:] == [130] * 10
