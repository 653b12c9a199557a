"""Temperatures and fitted weights recover what the logits were made with."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from kaggle_hw4.ensemble.combine import mean_log_probability, uniform
from kaggle_hw4.ensemble.weights import (
    FITS,
    SHORT,
    _log_sum_exp,
    greedy_weights,
    linear_weights,
    shortlist,
    temperature,
)

N, C = 1200, 50
RANDOM = np.random.default_rng(0)
Y = RANDOM.integers(0, C, N)


def member(skill: float) -> np.ndarray:
    """Log-probabilities (N, C), of about the same scale whatever the skill."""
    logits = RANDOM.normal(size=(N, C)) + skill * np.eye(C)[Y]
    return log_softmax(2 * logits, axis=1).astype(np.float32)


def test_temperature_undoes_a_scale() -> None:
    logits = RANDOM.normal(size=(N, C))
    y = np.array([RANDOM.choice(C, p=softmax(row)) for row in logits])
    assert temperature(5 * logits, y) == pytest.approx(5 * temperature(logits, y), rel=0.01)
    assert temperature(logits, y) == pytest.approx(1, abs=0.1)


def test_a_member_that_is_always_wrong_changes_no_blend() -> None:
    good, wrong = (RANDOM.normal(size=(N, C)) + 4 * np.eye(C)[(Y + k) % C] for k in (0, 1))
    calibrated = [log_softmax(x / temperature(x, Y), axis=1) for x in (good, wrong)]
    single, blended = calibrated[0].argmax(1), sum(calibrated).argmax(1)
    assert temperature(wrong, Y) > 500
    assert (single == blended).mean() > 0.99


def test_a_shortlist_holds_the_likeliest_classes_and_the_true_one() -> None:
    logp = np.stack([member(1), member(0.1)])
    short, target = shortlist(logp, Y)
    assert short.shape == (2, N, SHORT)
    rows = np.arange(N)
    assert (short[:, rows, target] == logp[:, rows, Y]).all()
    mean = mean_log_probability(logp, uniform(2))
    assert np.isclose(mean_log_probability(short, uniform(2)).max(1), mean.max(1)).all()


@pytest.mark.parametrize("fit", FITS.values())
def test_weights_are_a_distribution_and_prefer_the_better_member(fit) -> None:
    weights = fit(*shortlist(np.stack([member(4), member(0.5), member(0)]), Y))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[0] > 0.7 > 0.25 > max(weights[1:])


def test_greedy_weights_of_equal_members_are_shared() -> None:
    logp = np.stack([member(3) for _ in range(4)])
    assert greedy_weights(*shortlist(logp, Y)).max() < 0.45


def test_log_linear_weights_are_nearer_to_uniform_with_fewer_rows() -> None:
    logp = np.stack([member(4), member(1)])
    few, many = (linear_weights(*shortlist(logp[:, :n], Y[:n])) for n in (60, N))
    assert 0.5 < few[0] < many[0]


def test_log_linear_weights_are_at_a_minimum_of_their_loss() -> None:
    """No small step lowers the log-loss with its prior."""
    short, target = shortlist(np.stack([member(3), member(2), member(1)]), Y)
    weights = linear_weights(short, target)

    def loss(w: np.ndarray) -> float:
        mixed = mean_log_probability(short.astype(np.float64), w / w.sum())
        sharp = mixed / temperature(mixed, target)
        data = -log_softmax(sharp, axis=1)[np.arange(N), target].mean()
        return float(data - 100 / N * np.log(w / w.sum()).mean())

    for step in np.eye(3):
        for sign in (-0.03, 0.03):
            assert loss(weights + sign * step) > loss(weights) - 1e-5


def test_fits_are_the_same_every_time() -> None:
    short, target = shortlist(np.stack([member(2), member(2.2), member(1)]), Y)
    for fit in FITS.values():
        assert (fit(short, target) == fit(short, target)).all()


def test_log_sum_exp_is_scipys_and_does_not_overflow() -> None:
    for shape in ((5, 7), (3, 5, 7)):
        scores = 1000 * RANDOM.normal(size=shape)
        np.testing.assert_allclose(_log_sum_exp(scores), logsumexp(scores, axis=-1))
