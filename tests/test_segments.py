"""Segments are a function of (seed, step, position), stay in their utterances and cover all."""

import numpy as np
import torch

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.segments import ORDER, FrameStore, Segments, draw_segments, epoch_order


def test_an_epoch_sees_every_utterance_once(corpus: Corpus) -> None:
    rows = corpus.train
    drawn = [draw_segments(0, step, rows, corpus.lengths, 6, 50).rows for step in range(12)]
    first, second = np.concatenate(drawn).reshape(2, len(rows))
    assert sorted(first) == sorted(second) == sorted(rows)
    assert list(first) != list(second)


def test_the_order_of_an_epoch_is_drawn_once_and_is_that_of_its_rows() -> None:
    rows, lengths = 3 * np.arange(1000) + 5, np.full(4000, 60)
    epoch_order.cache_clear()
    drawn = np.concatenate(
        [draw_segments(7, step, rows, lengths, 50, 50).rows for step in range(40)]
    )
    assert epoch_order.cache_info().misses == 2
    orders = [np.random.default_rng([7, ORDER, epoch]).permutation(rows) for epoch in (0, 1)]
    assert drawn.tolist() == np.concatenate(orders).tolist()


def test_segments_stay_inside_their_utterance(corpus: Corpus) -> None:
    drawn = draw_segments(3, 5, corpus.train, corpus.lengths, 512, 50)
    assert (drawn.starts >= 0).all()
    assert (drawn.starts + 50 <= np.maximum(corpus.lengths[drawn.rows], 50)).all()
    ends = drawn.starts + 50 == corpus.lengths[drawn.rows]
    assert (drawn.starts == 0).any()
    assert ends.any(), "the last frame must be within reach"


def test_the_draw_of_a_step_does_not_depend_on_earlier_steps(corpus: Corpus) -> None:
    once, again = (draw_segments(1, 7, corpus.train, corpus.lengths, 5, 50) for _ in range(2))
    other = draw_segments(2, 7, corpus.train, corpus.lengths, 5, 50)
    assert (once.rows == again.rows).all()
    assert (once.starts == again.starts).all()
    assert (once.starts != other.starts).any()


def test_gathered_frames_are_those_of_the_utterance(corpus: Corpus) -> None:
    store = FrameStore(corpus, torch.device("cpu"))
    longest = int(corpus.lengths.max())
    rows = np.array([3, int(corpus.lengths.argmax())])
    features, mask = store.gather(Segments(rows, np.array([2, 0]), np.array([longest, longest])))
    n = int(corpus.lengths[3]) - 2
    assert torch.equal(features[0, :n], corpus.features(3)[2:])
    assert mask.sum(1).tolist() == [n, longest]
    assert not features[0, n:].any()


def test_a_shorter_segment_is_padded_beside_a_longer_one(corpus: Corpus) -> None:
    store = FrameStore(corpus, torch.device("cpu"))
    features, mask = store.gather(Segments(np.array([0, 1]), np.array([5, 0]), np.array([10, 40])))
    assert features.shape == (2, 40, 40)
    assert mask.sum(1).tolist() == [10, 40]
    assert torch.equal(features[0, :10], corpus.features(0)[5:15])
    assert not features[0, 10:].any()
