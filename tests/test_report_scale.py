"""The report at the size of the competition; `make test-slow`."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_it_is_small_and_takes_less_than_a_minute_at_full_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("report")
    benchmark.write_workspace(tmp_path, speakers=600, utterances=56_666)
    cost = benchmark.measure(tmp_path)
    assert cost.cpu_seconds < 60, "of one core; the machine may have other work to do"
    assert cost.bytes < 10_000_000
