"""Results with awkward figures: six digits, 144 runs, long names. What is printed of them at 80
columns is in tests/screenshots, which `python -m tests.screens` writes anew: read their diff.
"""

import math
from pathlib import Path
from typing import Any

from kaggle_hw4.cli.compare import render_groups
from kaggle_hw4.cli.ensemble import render_comparison, render_ensemble
from kaggle_hw4.cli.study import render_summary
from kaggle_hw4.cli.training import render_runs
from kaggle_hw4.kaggle.events import Created, Validation
from kaggle_hw4.kaggle.forecast import Forecast
from kaggle_hw4.metrics import Accuracy, Evaluation, PairedDifference, Z
from kaggle_hw4.run_manifest import FoldTable
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.compare import ComparedRuns, Comparison, GroupComparison, Pair
from kaggle_hw4.stages.ensemble import EnsembleResult
from kaggle_hw4.stages.train import FinishedRun
from kaggle_hw4.tuning.finals import Finals, Standing
from kaggle_hw4.tuning.study import TrialCounts
from kaggle_hw4.tuning.summary import Edge, Failure, StudySummary, TrialSummary
from tests.conftest import manifest_of
from tests.test_layout import as_text
from tests.test_study_text import FINGERPRINT

N = 156_666  # utterances
CHAMPION = "champion_wide_ecapa_and_conformers-1a2b3c4d"


def accuracy(value: float) -> dict[str, Any]:
    bounds = {"low": value - 0.00731, "high": value + 0.00719}
    return {"accuracy": value, "standard_error": 0.00369, "n": N, **bounds}


def difference(value: float) -> PairedDifference:
    error = 0.00109
    bounds = (value - Z * error, value + Z * error)
    p = math.erfc(value / error / 2**0.5)
    return PairedDifference(value, 104_321, 101_234, N, *bounds, error, p)


def ensemble() -> EnsembleResult:
    members = [
        (f"{CHAMPION}-seed0", range(144), 1.07, 0.86231),
        (f"{CHAMPION}-seed1234567890", range(144), 11.25, 0.85977),
        ("boss-5e6f7a8b-seed0", range(5), 0.94, 0.84412),
    ]
    created = Created(
        version="Boss+Champion_wide_ecapa_and_conformers_V144",
        label="Boss+Champion_wide_ecapa_and_conformers",
        members=[
            {"name": name, "folds": list(folds), "inputs": {}, "temperature": t, "oof": accuracy(a)}
            for name, folds, t, a in members
        ],
        weights=[0.41, 0.33, 0.26],
        method="greedy",
        candidates={name: accuracy(a) for name, a in (("uniform", 0.87123), ("greedy", 0.87345))},
        differences={
            "best single": vars(difference(0.01114)),
            "uniform": vars(difference(0.00222)),
        },
        disagreement=[[0.0, 0.07, 0.12], [0.07, 0.0, 0.11], [0.12, 0.11, 0.0]],
        cv=[
            Validation(kind="session", **accuracy(0.87345)),
            Validation(kind="utterance", **accuracy(0.94321)),
        ],
    )
    goal = ("Boss", 0.865, 0.6789)
    based_on = "the gaps of your 144 scored submissions"
    forecast = Forecast("session", True, based_on, 0.86789, 0.85432, 0.88146, *goal)
    return EnsembleResult(created, True, {}, forecast, 2022)


def comparison() -> Comparison:
    strong, champion = Path("runs/strong-1a2b3c4d"), Path("studies/champion_wide/runs") / CHAMPION
    sides = (
        ComparedRuns(path, ("",) * count, Accuracy(**accuracy(value)))
        for path, count, value in ((champion, 144, 0.86231), (strong, 5, 0.84412))
    )
    return Comparison(*sides, by="session", difference=difference(0.01819))


def groups() -> GroupComparison:
    names = (CHAMPION, "boss-5e6f7a8b", "strong-1a2b3c4d")
    compared = tuple(
        ComparedRuns(Path("runs") / name, ("",) * count, Accuracy(**accuracy(value)))
        for name, count, value in zip(names, (144, 15, 5), (0.87231, 0.8625, 0.84412), strict=True)
    )
    pairs = (
        Pair(i, j, difference(value), min(1.0, 3 * difference(value).p))
        for i, j, value in ((0, 1, 0.00181), (0, 2, 0.02819), (1, 2, 0.01838))
    )
    return GroupComparison(compared, "session", tuple(pairs))


def predicted() -> list[FinishedRun]:
    table = FoldTable(name="session144-seed1234567890", by="session", count=144, hash="f")
    update = {
        "folds": table,
        "validation": Evaluation(0.86231, 0.612345, 123_456),
        "seen_session": Evaluation(0.94321, 0.2, 10_000),
        "seconds": 123_456.7,
    }
    names = (f"{CHAMPION}/fold143-seed1234567890", "boss-5e6f7a8b/fold0-seed0")
    manifest = manifest_of({}).model_copy(update=update)
    return [FinishedRun(Run(Path("runs") / name), manifest) for name in names]


def study() -> StudySummary:
    baseline = Standing(
        trial=0, baseline=True, search_value=0.8441, mean=0.8412, deviation=0.0123, n=144,
        search_lead=0.0, final_lead=0.0, standard_error=0.0, pairs=143, runs="boss-5e6f7a8b",
    )  # fmt: skip
    lead = {
        "baseline": False,
        "search_lead": 0.0182,
        "final_lead": 0.0071,
        "standard_error": 0.0021,
    }
    scores = {"trial": 1234, "search_value": 0.8623, "mean": 0.8483, "deviation": 0.0119}
    winner = baseline.model_copy(update=lead | scores)
    variant = "pipelines/variants/boss_tuned.toml"
    params: dict[str, Any] = {
        "networks.d_model": 256,
        "optimizer.learning_rate": 0.00123456,
        "augment.mixup_with": "same_speaker",
        "loss.scale": 59.9,
    }
    best = [(1234, 0.86231), (1199, 0.86198), (987, 0.86002), (0, 0.84412)]
    return StudySummary(
        study="boss_on_unseen_sessions",
        fingerprint=FINGERPRINT,
        direction="maximize",
        trials=TrialCounts(
            1440, complete=512, pruned=800, failed=128, running=16, waiting=2, retried=37
        ),
        best=tuple(TrialSummary(number, value, None, params) for number, value in best),
        importances={"optimizer.learning_rate": 0.62, "networks.d_model": 0.27, "loss.scale": 0.11},
        edges=(Edge("loss.scale", "largest", 59.9),),
        failures=(Failure(777, "the training diverged at step 12,345 (loss nan)"),),
        finals=Finals(candidates=(winner, baseline), folds=144, seeds=(0,), variant=variant),
        runs={1234: Path("studies/boss/runs/boss_tuned-1a2b3c4d"), 0: Path("runs/boss-5e6f7a8b")},
    )


SCREENS = {
    "ensemble": lambda: render_ensemble(ensemble()),
    "compare": lambda: render_comparison(comparison()),
    "compare_groups": lambda: render_groups(groups()),
    "predict": lambda: render_runs(predicted()),
    "tune_show": lambda: render_summary(study()),
}
SCREENSHOTS = Path(__file__).parent / "screenshots"


def lines(name: str, width: int | None) -> list[str]:
    """What is printed, without spaces at the ends of lines and empty lines at either end."""
    printed = (line.rstrip() for line in as_text(SCREENS[name](), width).splitlines())
    return "\n".join(printed).strip("\n").splitlines()


if __name__ == "__main__":
    for name in SCREENS:
        (SCREENSHOTS / f"{name}.txt").write_text("\n".join(lines(name, 80)) + "\n")
