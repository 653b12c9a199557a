"""`make scale` in its quick form: cases run, and the page continues their power laws."""

import numpy as np
import pytest

from benchmarks.many_speakers import changes, member_logits
from benchmarks.scale import CURVES, Curve, law, page
from benchmarks.scale_cases import CASES
from kaggle_hw4.logits import dense, log_softmax

QUICK = ("sessions", "shift", "density", "duplicates", "spreading", "packing")


@pytest.mark.parametrize("name", QUICK)
def test_a_case_of_utterances_runs(name: str) -> None:
    assert CASES[name](60)["seconds"] >= 0


def test_every_curve_has_its_case() -> None:
    assert {curve.case for curve in CURVES} == set(CASES)


def test_the_page_continues_a_power_law() -> None:
    curve = Curve("shift", "A title", "utterances", (10, 100), 1000)
    rows = [{"size": 10, "seconds": 2.0, "memory": 1.0}, {"size": 100, "seconds": 200.0}]
    assert law(curve, rows, "seconds") == (
        "seconds grow as utterances ^ 2.00 (the last 2 sizes); 1,000 would take 200 s × "
        "10 ^ 2.00 = 5.56 hours."
    )
    first = CURVES[0]
    results = {f"{first.case} {first.sizes[0]}": dict.fromkeys(("size", *first.columns), 1.0)}
    assert f"## {first.title}" in page(results)


def test_the_largest_k_of_a_row_do_not_make_its_blend() -> None:
    """Two members, each sure of another class that is not among the other's largest."""
    labels = np.array([[0, 1, 2], [3, 4, 5]])
    members = [dense(log_softmax(member_logits(y, 5000, k))) for k, y in enumerate(labels)]
    assert changes(members, 5).max() > 1e-3
    assert changes(members, 4999).max() < 1e-4
