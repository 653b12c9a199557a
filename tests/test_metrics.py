"""Balanced accuracies, their uncertainty, and paired differences."""

import numpy as np
import pytest

from kaggle_hw4.metrics import accuracy, balanced_weights, evaluate, paired


def test_every_speaker_counts_the_same_in_every_fold() -> None:
    speaker, fold = np.array([7, 7, 7, 2, 2, 7]), np.array([0, 0, 0, 0, 0, 1])
    assert balanced_weights(speaker, fold).tolist() == [1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1]
    right = np.array([False, False, False, True, True, True])
    assert accuracy(right, speaker, fold).accuracy == pytest.approx(2 / 3)
    assert accuracy(right, speaker).accuracy == pytest.approx((1 / 4 + 1) / 2)
    assert paired(right, ~right, speaker, fold).difference == pytest.approx(1 / 3)


def test_logits_are_evaluated_by_the_mean_over_speakers() -> None:
    logits = np.log(np.array([[0.5, 0.5], [0.8, 0.2], [0.25, 0.75]], np.float32))
    evaluation = evaluate(logits, np.array([1, 1, 0]))
    assert evaluation.accuracy == 0
    assert evaluation.loss == pytest.approx(-(np.log(0.5 * 0.2) / 2 + np.log(0.25)) / 2)
    assert evaluate(logits, np.array([0, 0, 1])).accuracy == 1


def test_speakers_that_are_all_right_or_all_wrong_widen_the_standard_error() -> None:
    speaker = np.repeat(np.arange(40), 25)
    whole, mixed = speaker % 2 == 0, np.arange(1000) % 2 == 0
    errors = [accuracy(right, speaker).standard_error for right in (whole, mixed)]
    assert errors[0] == pytest.approx(np.sqrt(0.25 / 39), rel=0.01)  # as of 40 utterances
    assert errors[1] == pytest.approx(np.sqrt(0.25 / 1000), rel=0.01)


def test_an_interval_holds_its_accuracy_and_narrows_with_n() -> None:
    few, many = (accuracy(np.arange(n) % 4 > 0, np.arange(n)) for n in (100, 10_000))
    assert few.low < few.accuracy == 0.75 < few.high
    assert many.standard_error == pytest.approx(np.sqrt(0.75 * 0.25 / 10_000), rel=1e-3)
    assert many.high - many.low == pytest.approx(2 * 1.96 * many.standard_error, rel=0.01)


@pytest.mark.parametrize(("won", "lost"), [(1, 0), (2, 1), (3, 0), (6, 0), (9, 3), (40, 20)])
def test_few_discordant_utterances_are_little_evidence_and_all_figures_agree(
    won: int, lost: int
) -> None:
    random = np.random.default_rng(won)
    first, second = np.ones(1000, bool), np.ones(1000, bool)
    chosen = random.choice(1000, won + lost, replace=False)
    second[chosen[:won]], first[chosen[won:]] = False, False
    gain = paired(first, second, np.arange(1000) % 100)
    assert (gain.won, gain.lost) == (won, lost)
    assert gain.standard_error > 0.999 * np.sqrt(won + lost + 1) / 1000
    assert (gain.low > 0) == (gain.p < 0.05) == ((won, lost) in [(6, 0), (40, 20)])


def test_one_utterance_does_not_beat_the_uniform_blend() -> None:
    first, second = np.ones(200, bool), np.arange(200) > 0
    gain = paired(first, second, np.arange(200) % 20)
    assert 0 < gain.difference < gain.standard_error


def test_a_difference_counts_only_what_differs() -> None:
    first = np.array([True, True, True, False] * 50)
    second = np.array([True, True, False, False] * 50)
    gain = paired(first, second, np.arange(200) % 40)
    assert (gain.won, gain.lost, gain.difference) == (50, 0, 0.25)
    assert gain.low <= 0.25 <= gain.high
    assert paired(first, first, np.arange(200)).low == 0


def test_speakers_that_one_model_wins_as_a_whole_widen_the_interval_of_a_difference() -> None:
    random = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 25)
    whole = np.repeat(random.random(40) < 0.6, 25)
    single = random.random(1000) < 0.6
    widths = [gain.high - gain.low for gain in (paired(x, ~x, speakers) for x in (whole, single))]
    assert widths[0] > 3 * widths[1]


def test_a_single_speaker_says_nothing_about_others() -> None:
    gain = paired(np.array([True, True]), np.array([False, True]), np.array([7, 7]))
    assert (gain.low, gain.high) == (-1, 1)


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_the_interval_covers_the_truth_nineteen_times_in_twenty(gain: float) -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(40):
        second = random.random(600) < 0.6
        first = np.where(random.random(600) < gain / 0.4, True, second)
        estimate = paired(first, second, np.arange(600) % 60)
        covered += estimate.low <= gain <= estimate.high
    assert covered >= 34
