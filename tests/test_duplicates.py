"""Near-duplicates are copies of one recording, through any channel; other sentences are not."""

import dataclasses

import numpy as np
import torch

from kaggle_hw4.data.channel import describe_channel
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.duplicates import (
    LAGS,
    MAX_LAG,
    MIN_CORRELATION,
    correlate,
    find_near_duplicates,
    stack,
    standardise,
)
from kaggle_hw4.data.folds import make_folds


def with_near_duplicate(corpus: Corpus) -> Corpus:
    """The first utterance of the first speaker replaces the last: cut a little
    differently, through another channel, in noise.
    """
    rows = np.flatnonzero(corpus.labels == 0)
    first, last = int(rows[0]), int(rows[-1])
    random = torch.Generator().manual_seed(0)
    copy = corpus.features(first)[3:] + 3 * torch.randn(1, 40, generator=random)
    noise = copy.mean() - 1 + 0.5 * torch.randn(copy.shape, generator=random)
    copy = torch.logaddexp(copy, noise).to(corpus.frames.dtype)
    lengths, offsets = corpus.lengths.copy(), corpus.offsets.copy()
    lengths[last], offsets[last] = len(copy), len(corpus.frames)
    frames = torch.cat([corpus.frames, copy])
    channels = dataclasses.replace(corpus.channels, descriptor=corpus.channels.descriptor.copy())
    channels.descriptor[last] = describe_channel(copy.float().numpy()).descriptor[0]
    return dataclasses.replace(
        corpus, frames=frames, lengths=lengths, offsets=offsets, channels=channels
    )


def test_a_copy_through_another_channel_is_found(corpus: Corpus) -> None:
    rows = np.flatnonzero(corpus.labels == 0)
    assert list(find_near_duplicates(with_near_duplicate(corpus), rows)) == [(len(rows) - 1, 0)]


def test_different_sentences_are_not_near_duplicates(corpus: Corpus) -> None:
    for label in range(4):
        assert not list(find_near_duplicates(corpus, np.flatnonzero(corpus.labels == label)))


def test_near_duplicates_are_never_trained_on_and_validated_in_one_fold(corpus: Corpus) -> None:
    changed = with_near_duplicate(corpus)
    rows = np.flatnonzero(corpus.labels == 0)
    first, last = rows[0], rows[-1]
    folds = make_folds(changed, "session", 2)
    for k in range(2):
        if first in folds.validation(k):
            assert last not in folds.training(k)
        if last in folds.validation(k):
            assert first not in folds.training(k)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Of two standardised utterances of like length."""
    utterances = sorted((first, second), key=len)
    _, [highest] = correlate(stack(utterances), np.array([len(each) for each in utterances]))
    return float(highest)


def definition(first: np.ndarray, second: np.ndarray) -> float:
    """The same, lag by lag over the frames that overlap, in double precision."""
    highest = -1.0
    for lag in LAGS:
        a, b = first[max(0, lag) :], second[max(0, -lag) :]
        n = min(len(a), len(b))
        highest = max(highest, float((a[:n].astype(float) * b[:n]).sum() / (n * 40) if n else 0))
    return highest


def test_correlations_by_products_are_those_of_the_definition(corpus: Corpus) -> None:
    rows = np.flatnonzero(corpus.labels == 0)
    cut = [corpus.features(int(row)).numpy()[: 1 + 9 * i] for i, row in enumerate(rows)]
    frames = [standardise(each) for each in cut]  # of 1, 10, 19 … frames
    pairs, actual = correlate(stack(frames), np.array([len(each) for each in frames]))
    assert pairs.tolist() == [[i, i + 1] for i in range(len(rows) - 1)]
    expected = [definition(frames[i], frames[j]) for i, j in pairs]
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_the_pairs_are_those_of_all_comparisons(corpus: Corpus) -> None:
    """Cut alike, utterances that overlap are pairs; their lengths differ by up to 18 frames."""
    lengths, offsets = corpus.lengths.copy(), corpus.offsets.copy()
    rows = np.flatnonzero(corpus.labels == 0)
    for i, row in enumerate(rows):
        source = rows[i % 3]
        offsets[row], lengths[row] = corpus.offsets[source] + i % 5, 60 + 18 * (i % 4) // 3
    cut = dataclasses.replace(corpus, lengths=lengths, offsets=offsets)
    frames = [standardise(cut.features(int(row)).numpy()) for row in rows]
    expected = [
        (i, j)
        for i in range(len(rows))
        for j in range(i)
        if abs(len(frames[i]) - len(frames[j])) <= 2 * MAX_LAG
        and definition(frames[i], frames[j]) > MIN_CORRELATION
    ]
    assert len(expected) > 5
    assert find_near_duplicates(cut, rows) == expected


def test_a_lag_and_a_channel_leave_the_correlation() -> None:
    random = np.random.default_rng(0)
    sentence = random.normal(size=(80, 40)).astype(np.float32)
    channel = random.normal(size=40).astype(np.float32)
    assert correlation(standardise(sentence), standardise(sentence[4:] + channel)) > 0.95
    other = random.normal(size=(80, 40)).astype(np.float32)
    assert correlation(standardise(sentence), standardise(other)) < MIN_CORRELATION / 2


def test_copies_cut_differently_at_both_ends_are_found(corpus: Corpus) -> None:
    """By up to 6 frames at either end: here 5 of them, so the lengths differ by 10."""
    first, last = (int(row) for row in np.flatnonzero(corpus.labels == 0)[[0, -1]])
    lengths, offsets = corpus.lengths.copy(), corpus.offsets.copy()
    lengths[last], offsets[last] = lengths[first] - 10, offsets[first] + 5
    cut = dataclasses.replace(corpus, lengths=lengths, offsets=offsets)
    rows = np.array([first, last])
    assert list(find_near_duplicates(cut, rows)) == [(1, 0)]
    lengths[last], offsets[last] = lengths[first] - 14, offsets[first] + 7
    assert not list(find_near_duplicates(cut, rows))
