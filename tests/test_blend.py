"""Blending: calibrated members, uniform unless fitted weights are better, matched by id."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax

from kaggle_hw4.ensemble.blend import accuracy_of, blend, cross_fit, stack_members
from kaggle_hw4.ensemble.combine import mean_log_probability
from kaggle_hw4.ensemble.members import Member, label_of, on_seen_sessions, usable
from kaggle_hw4.ensemble.weights import FITS, shortlist
from kaggle_hw4.errors import DataError, UsageError

N, C = 1200, 20
RANDOM = np.random.default_rng(0)
Y = RANDOM.integers(0, C, N)
IDS = tuple(f"u{i}" for i in range(N))
TRUTH = dict(zip(IDS, Y.tolist(), strict=True))


def member(name: str, skill: float, scale: float = 1.0, folds: tuple[int, ...] = (0, 1)) -> Member:
    """Noise plus `skill` at the true class, on the halves of the rows that `folds` validate."""
    random = np.random.default_rng([*name.encode(), round(100 * abs(skill))])
    logits = random.normal(size=(N, C)) + skill * np.eye(C)[Y]
    test = random.normal(size=(len(folds), C, C)) + skill * np.eye(C)
    rows = [np.arange(N)[k::2] for k in folds]
    parts = {"oof": [logits[r] for r in rows], "test": list(test)}
    parts["seen_session"] = [part[:20] for part in parts["oof"]]
    row = np.concatenate(rows)
    return Member(
        name=name,
        variant=name,
        recipe="r",
        seed=0,
        folds=folds,
        by="session",
        ids=tuple(IDS[i] for i in row),
        fold=row % 2,
        seen_session_ids=tuple(IDS[k:40:2] for k in folds),
        test_ids=tuple(f"t{i}" for i in range(C)),
        inputs={},
        read=lambda kind, k: (scale * parts[kind][k]).astype(np.float32),
    )


def test_a_member_with_large_logits_does_not_outvote_the_others() -> None:
    equal = blend([member("a", 3), member("b", 3), member("c", 3)], TRUTH)
    scaled = blend([member("a", 3), member("b", 3), member("c", 3, scale=15)], TRUTH)
    assert scaled.candidates["uniform"].accuracy == pytest.approx(
        equal.candidates["uniform"].accuracy, abs=0.002
    )


def test_equal_members_are_averaged_uniformly_and_beat_the_best_single() -> None:
    blended = blend([member(name, 3) for name in "abcd"], TRUTH)
    assert blended.method == "uniform"
    assert blended.weights == (0.25,) * 4
    assert blended.chosen.accuracy > max(s.accuracy for s in blended.singles) + 0.05


def test_a_useless_member_loses_its_weight() -> None:
    blended = blend([member("good", 4), member("bad", 0.0), member("worse", -1.0)], TRUTH)
    good = max(s.accuracy for s in blended.singles)
    assert blended.chosen.accuracy >= good - 0.003


def test_members_are_matched_by_utterance_and_not_by_position() -> None:
    a, b = member("a", 3), member("b", 3)
    order = np.random.default_rng(1).permutation(N)
    shuffled = replace(
        b,
        ids=tuple(b.ids[i] for i in order),
        fold=b.fold[order],
        folds=(0,),
        read=lambda kind, k: b.oof()[order] if kind == "oof" else b.read(kind, k),
    )
    first, second = (blend([a, x], TRUTH).candidates["uniform"] for x in (shuffled, b))
    assert first == second


def test_members_with_missing_folds_are_compared_on_what_all_cover() -> None:
    blended = blend([member("a", 3), member("b", 3, folds=(1,))], TRUTH)
    assert blended.chosen.n == N // 2
    assert set(blended.candidates) == {"uniform", "greedy", "log-linear"}, (
        "fitted on halves of the speakers"
    )
    with pytest.raises(DataError, match="no utterance is validated by every member"):
        blend([member("a", 3, folds=(0,)), member("b", 3, folds=(1,))], TRUTH)


def test_a_member_of_one_fold_beside_complete_ones_is_left_out_with_the_reason() -> None:
    complete, part = member("complete", 3), member("part", 3, folds=(1,))
    kept, left_out = usable([complete, part])
    assert kept == [complete]
    assert left_out == {"part": "has fold 1 only, where others have 2: train its other folds"}
    assert usable([part]) == ([part], {})


# Three copies of a weak member would outvote a good one if all had the same weight.
COPIES = [member("good", 2.5), *(member("weak", 1.5, scale=9) for _ in range(3))]


def test_the_test_set_is_predicted_with_the_temperatures_and_weights_of_the_blend() -> None:
    blended = blend(COPIES, TRUTH)
    assert blended.method in ("greedy", "log-linear")
    expected = sum(
        w * log_softmax(np.stack(list(m.test())) / t, axis=2).mean(0)
        for w, m, t in zip(blended.weights, COPIES, blended.temperatures, strict=True)
    )
    assert blended.test_labels.tolist() == expected.argmax(1).tolist()
    assert blended.test_labels.tolist() != sum(sum(m.test()) for m in COPIES).argmax(1).tolist()


def test_a_weighted_blend_is_evaluated_on_folds_it_was_not_fitted_on() -> None:
    blended = blend(COPIES, TRUTH)
    assert blended.chosen == blended.candidates[blended.method]
    gain = blended.differences["uniform"]
    assert gain.difference > 2 * gain.standard_error
    stack = stack_members(COPIES, TRUTH)
    stack = replace(stack, fold=np.arange(N) % 3)
    short, target = shortlist(stack.logp, stack.y)
    for fold in range(3):
        out = stack.fold == fold
        weights = FITS[blended.method](short[:, ~out], target[~out])
        right = mean_log_probability(stack.logp, weights, out).argmax(1) == stack.y[out]
        assert (cross_fit(stack, blended.method)[blended.method][out] == right).all()


def test_bad_members_cost_less_than_three_thousandths() -> None:
    good = [member(name, 2.5) for name in "abcd"]
    bad = [member("x", 0.0, scale=9), member("y", -1.0), member("z", 0.3, scale=4)]
    without, beside = blend(good, TRUTH), blend(good + bad, TRUTH)
    assert beside.chosen.accuracy >= without.chosen.accuracy - 0.003


def test_calibration_weights_and_the_test_set_show_how_far_they_are() -> None:
    counts = defaultdict[str, list[tuple[int, int | None]]](list)
    blend(COPIES, TRUTH, bar=lambda name: lambda *count: counts[name].append(count))
    assert counts == {
        "calibration": [(done, 4) for done in range(5)],
        "weights": [(done, 4) for done in range(5)],  # two folds, two methods
        "test set": [(done, 4) for done in range(5)],
    }


def test_a_single_member_needs_no_blend() -> None:
    single = blend([member("a", 9)], TRUTH)
    assert single.method == "single"
    with pytest.raises(UsageError, match="one member alone") as error:
        blend([member("a", 9)], TRUTH, "greedy")
    assert error.value.parameter == "method"


@pytest.mark.parametrize("method", ["uniform", "greedy", "log-linear", "vote", "probabilities"])
def test_a_method_asked_for_is_used_and_uniform_shown_beside_it(method: str) -> None:
    blended = blend([member(name, 3) for name in "abc"], TRUTH, method)
    assert blended.method == method
    assert blended.chosen == blended.candidates[method]
    assert set(blended.differences) == {"best single", "uniform"} - {method}
    with pytest.raises(UsageError, match="is one of auto, uniform, greedy") as error:
        blend([member("a", 3)], TRUTH, "median")
    assert error.value.parameter == "method"


def test_disagreement_is_the_share_of_utterances_labelled_differently() -> None:
    blended = blend([member("a", 3), member("a", 3, scale=2), member("b", 0)], TRUTH)
    shares = np.array(blended.disagreement)
    assert shares[0, 1] == 0
    assert shares[0, 2] == shares[2, 0] > 0.5


def test_labels_go_up_the_ladder() -> None:
    names = [member(name, 1) for name in ("boss", "zebra", "strong", "boss")]
    assert label_of(names) == "Strong+Boss+Zebra"


def test_members_are_evaluated_on_seen_sessions_too() -> None:
    seen = on_seen_sessions([member("a", 3), member("b", 3)])
    assert [m.by for m in seen] == ["utterance", "utterance"]
    assert blend(seen, TRUTH).chosen.n == 40
    assert np.array_equal(seen[0].oof()[:20], member("a", 3).oof()[:20])
    without = replace(member("c", 3), seen_session_ids=((), ()))
    assert on_seen_sessions([member("a", 3), without]) == []


@pytest.mark.parametrize("method", ["uniform", "greedy", "vote"])
def test_the_accuracy_of_a_method_is_that_of_its_blend(method: str) -> None:
    members = [member(name, 3) for name in "abc"]
    no_test = [
        replace(m, read=lambda file, k, m=m: {"oof": m.read}[file](file, k)) for m in members
    ]
    assert accuracy_of(no_test, TRUTH, method) == blend(members, TRUTH, method).chosen
