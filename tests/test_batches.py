"""A batch is a function of the seed and the step; partners are of the right speaker and session."""

import numpy as np
import pytest
import torch

from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, segment_length
from tests.conftest import tiny

CPU = torch.device("cpu")


def batches(corpus: Corpus, folds: Folds, *settings: str, seed: int = 0) -> Batches:
    recipe = tiny("boss", "augment.noise=0.0", "segments.batch_size=16", *settings)
    return Batches(FrameStore(corpus, CPU), folds.training(0), folds.session, recipe, seed)


@pytest.mark.parametrize(
    "setting",
    [
        "augment.channel_swap=1.0",
        "augment.mixup=1.0",
        "augment.noise=1.0",
        "segments.min_fraction=0.5",
    ],
)
def test_a_batch_is_a_function_of_seed_and_step(corpus: Corpus, folds: Folds, setting: str) -> None:
    def at(seed: int, step: int) -> torch.Tensor:
        torch.manual_seed(0)
        return batches(corpus, folds, setting, seed=seed).at(step).features

    assert torch.equal(at(0, 3), at(0, 3))
    assert not torch.equal(at(0, 3), at(0, 4))
    assert not torch.equal(at(0, 3), at(1, 3))


def test_a_mixed_segment_is_a_weighted_mean_of_two(corpus: Corpus, folds: Folds) -> None:
    plain = batches(corpus, folds).at(0)
    mixed = batches(corpus, folds, "augment.mixup=1.0").at(0)
    share = mixed.share[:, None, None]
    assert (mixed.share >= 0.5).all()
    assert (mixed.share < 1).all(), "at a probability of 1 every segment is mixed"
    assert torch.equal(mixed.partner_labels, plain.labels.roll(1, 0))
    expected = share * plain.features + (1 - share) * plain.features.roll(1, 0)
    torch.testing.assert_close(mixed.features, expected)


def test_a_quarter_of_the_segments_is_mixed_at_a_probability_of_a_quarter(
    corpus: Corpus, folds: Folds
) -> None:
    batch = batches(corpus, folds, "augment.mixup=0.25", "segments.batch_size=400").at(0)
    assert 0.17 < (batch.share < 1).float().mean() < 0.33


def test_where_its_partner_has_ended_a_segment_is_itself(corpus: Corpus, folds: Folds) -> None:
    plain = batches(corpus, folds, "segments.frames=200").at(0)
    mixed = batches(corpus, folds, "segments.frames=200", "augment.mixup=1.0").at(0)
    alone = plain.mask & ~plain.mask.roll(1, 0)
    assert alone.any()
    assert torch.equal(mixed.features[alone], plain.features[alone])


def test_a_partner_of_the_same_speaker_comes_from_another_session(
    corpus: Corpus, folds: Folds
) -> None:
    drawn = batches(corpus, folds, "augment.mixup=1.0", "augment.mixup_with=same_speaker")
    rows = folds.training(0)
    partners = drawn._other_sessions(rows, np.random.default_rng(0))
    assert (corpus.labels[partners] == corpus.labels[rows]).all()
    for row, partner in zip(rows, partners, strict=True):
        same = rows[corpus.labels[rows] == corpus.labels[row]]
        if len(set(folds.session[same])) > 1:
            assert folds.session[partner] != folds.session[row]
    assert set(partners) <= set(rows)
    batch = drawn.at(0)
    assert torch.equal(batch.labels, batch.partner_labels)


def test_a_channel_comes_from_another_training_speaker(corpus: Corpus, folds: Folds) -> None:
    drawn = batches(corpus, folds, "augment.channel_swap=1.0")
    rows = np.tile(folds.training(0), 10)
    others = drawn._other_speakers(rows, np.random.default_rng(0))
    assert (corpus.labels[others] != corpus.labels[rows]).mean() > 0.99
    assert set(others) <= set(folds.training(0))


def test_lengths_are_random_or_grow_and_are_longer_in_fine_tuning(corpus: Corpus) -> None:
    keys = ("segments.frames=100", "segments.min_fraction=0.5", "schedule.steps=50")
    drawn = tiny("boss", *keys)
    lengths = [segment_length(0, step, drawn) for step in range(50)]
    assert min(lengths) >= 50
    assert max(lengths) <= 100
    assert len(set(lengths)) > 20
    growing = tiny(
        "boss",
        *keys,
        "segments.lengths=growing",
        "large_margin_fine_tuning.steps=10",
        "large_margin_fine_tuning.frames=130",
    )
    lengths = [segment_length(0, step, growing) for step in range(50)]
    assert lengths[:40] == sorted(lengths[:40])
    assert (lengths[0], lengths[39]) == (50, 100)
    assert lengths[40:] == [130] * 10
