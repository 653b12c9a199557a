"""Blending: calibrated members, uniform unless weights earn their place, nothing mixed up."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from kaggle_hw4.ensemble.blend import blend, combine, fit_weights, temperature
from kaggle_hw4.ensemble.evaluate import accuracy
from kaggle_hw4.ensemble.members import Member, label_of
from kaggle_hw4.errors import DataError

N, C = 1200, 20
RANDOM = np.random.default_rng(0)
Y = RANDOM.integers(0, C, N)
IDS = tuple(f"u{i}" for i in range(N))
TRUTH = dict(zip(IDS, Y.tolist(), strict=True))


def member(name: str, skill: float, scale: float = 1.0, folds: tuple[int, ...] = (0, 1)) -> Member:
    """Logits that know the truth with `skill`, on the halves of the rows that `folds` validate."""
    random = np.random.default_rng([*name.encode(), round(100 * abs(skill))])
    logits = random.normal(size=(N, C)) + skill * np.eye(C)[Y]
    test = random.normal(size=(len(folds), C, C)) + skill * np.eye(C)
    rows = np.concatenate([np.arange(N)[k::2] for k in folds])
    return Member(
        name=name,
        variant=name,
        folds=folds,
        by="session",
        ids=tuple(IDS[i] for i in rows),
        fold=rows % 2,
        oof=(scale * logits[rows]).astype(np.float32),
        test_ids=tuple(f"t{i}" for i in range(C)),
        test=(scale * test).astype(np.float32),
        inputs={},
    )


def test_temperature_undoes_a_scale() -> None:
    logits = RANDOM.normal(size=(N, C))
    y = np.array([RANDOM.choice(C, p=softmax(row)) for row in logits])
    assert temperature(5 * logits, y) == pytest.approx(5 * temperature(logits, y), rel=0.01)
    assert temperature(logits, y) == pytest.approx(1, abs=0.1)


def test_a_loud_member_does_not_outvote_the_others() -> None:
    quiet = blend([member("a", 3), member("b", 3), member("c", 3)], TRUTH)
    loud = blend([member("a", 3), member("b", 3), member("c", 3, scale=15)], TRUTH)
    assert loud.uniform["accuracy"] == pytest.approx(quiet.uniform["accuracy"], abs=0.002)


def test_equal_members_are_averaged_uniformly_and_beat_the_best_single() -> None:
    found = blend([member(name, 3) for name in "abcd"], TRUTH)
    assert found.method == "uniform"
    assert found.weights == (0.25,) * 4
    assert found.chosen["accuracy"] > max(s["accuracy"] for s in found.singles) + 0.05


def test_a_useless_member_loses_its_weight() -> None:
    found = blend([member("good", 4), member("bad", 0.0), member("worse", -1.0)], TRUTH)
    good = max(s["accuracy"] for s in found.singles)
    assert found.chosen["accuracy"] >= good - 0.003


def test_fitted_weights_are_a_distribution_and_find_the_better_member() -> None:
    good, bad = member("good", 4), member("bad", 1)
    weights = fit_weights(np.stack([good.oof, bad.oof]), np.array([TRUTH[i] for i in good.ids]))
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.8 > 0.2 > weights[1] >= 0


def test_members_are_matched_by_utterance_and_not_by_place() -> None:
    a, b = member("a", 3), member("b", 3)
    order = np.random.default_rng(1).permutation(N)
    shuffled = Member(
        **{
            **b.__dict__,
            "ids": tuple(b.ids[i] for i in order),
            "oof": b.oof[order],
            "fold": b.fold[order],
        }
    )
    assert blend([a, shuffled], TRUTH).uniform == blend([a, b], TRUTH).uniform


def test_members_with_missing_folds_are_compared_on_what_all_cover() -> None:
    found = blend([member("a", 3), member("b", 3, folds=(1,))], TRUTH)
    assert found.uniform["n"] == N // 2
    with pytest.raises(DataError, match="no utterance is validated by every member"):
        blend([member("a", 3, folds=(0,)), member("b", 3, folds=(1,))], TRUTH)


def test_the_test_set_is_predicted_with_the_temperatures_and_weights_of_the_blend() -> None:
    members = [member("good", 2.5), member("bad", 0.0, scale=9), member("worse", -1.0, scale=9)]
    found = blend(members, TRUTH)
    assert found.method == "weighted"
    expected = sum(
        w * log_softmax(m.test / t, axis=2).mean(0)
        for w, m, t in zip(found.weights, members, found.temperatures, strict=True)
    )
    assert found.test_labels.tolist() == expected.argmax(1).tolist()
    assert found.test_labels.tolist() != sum(m.test.mean(0) for m in members).argmax(1).tolist()


def test_a_weighted_blend_is_judged_by_folds_it_was_not_fitted_on() -> None:
    members = [member("good", 2.5), member("bad", 0.0, scale=9), member("worse", -1.0, scale=9)]
    found = blend(members, TRUTH)
    assert found.method == "weighted"
    assert found.chosen == found.weighted
    assert found.chosen["accuracy"] > found.uniform["accuracy"]


def test_a_single_member_needs_no_blend() -> None:
    single = blend([member("a", 9)], TRUTH)
    assert single.method == "single"


def test_labels_go_up_the_ladder() -> None:
    names = [member(name, 1) for name in ("boss", "zebra", "strong", "boss")]
    assert label_of(names) == "Strong+Boss+Zebra"


def test_an_interval_holds_its_accuracy_and_narrows_with_n() -> None:
    few, many = (accuracy(np.arange(n) % 4 > 0) for n in (100, 10_000))
    assert few["low"] < few["accuracy"] == 0.75 < few["high"]
    assert many["high"] - many["low"] == pytest.approx(
        2 * 1.96 * np.sqrt(0.75 * 0.25 / 10_000), rel=0.01
    )
    assert combine(np.ones((2, 3, 4)), np.array([0.5, 0.5])).shape == (3, 4)
