"""The time and memory of the largest ensemble: part of `make bench-large`.

20 members of five folds, 56,666 out-of-fold and 8,000 test utterances, 600 classes; needs 4.7 GB of
disk while it runs. The logits are random numbers plus the true class, and half of their noise is
common to all members. Three of the members are hardly better than chance.
"""

import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kaggle_hw4.ensemble.blend import blend
from kaggle_hw4.ensemble.members import find_members
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.metrics import Evaluation
from kaggle_hw4.run_manifest import Device, FoldTable, Manifest, Prediction
from kaggle_hw4.runs import Logits, Run, find_runs

MEMBERS, BAD, FOLDS = 20, 3, 5
ROWS, TESTS, CLASSES = 56_666, 8_000, 600


def main() -> None:
    with TemporaryDirectory() as name:
        y = np.random.default_rng(0).integers(0, CLASSES, ROWS)
        for member in range(MEMBERS):
            for fold in range(FOLDS):
                write_run(Path(name), y, member, fold)
        start, start_cpu = time.perf_counter(), time.process_time()
        members = find_members(find_runs([Path(name)]))
        result = blend(members, {f"u{i}": int(label) for i, label in enumerate(y)})
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"ensemble: {MEMBERS} members x {ROWS:,} rows x {CLASSES} classes (+ {TESTS:,} test rows)"
    )
    print(f"  {seconds:.1f} s ({cpu:.1f} s of processor time), peak memory {peak:.1f} GB")
    print(f"  chosen: {result.method}")
    best = max(result.singles, key=lambda single: single.accuracy)
    for method, candidate in {"best single": best, **result.candidates}.items():
        print(f"  {method:<12} {candidate.accuracy:.4f}")


def write_run(
    folder: Path,
    y: np.ndarray,
    member: int,
    fold: int,
    tests: int = TESTS,
    classes: int = CLASSES,
) -> None:
    """A finished run of fold `fold`, as far as an ensemble reads it; y: (N,) true labels."""
    run = Run(folder / f"m{member}-0" / f"fold{fold}-seed0")
    run.folder.mkdir(parents=True)
    rows = np.arange(len(y))[fold::FOLDS]
    skill = 0.5 if member < BAD else 3.6
    oof = noise([1, fold], member, len(rows), classes)
    oof[np.arange(len(rows)), y[rows]] += skill
    test = noise([2], FOLDS * member + fold, tests, classes)
    sha256 = {
        "oof.safetensors": run.write_logits("oof", Logits(tuple(f"u{i}" for i in rows), oof)),
        "test.safetensors": run.write_logits(
            "test", Logits(tuple(f"t{i}" for i in range(tests)), test)
        ),
    }
    write_manifest(run, fold, FOLDS, sha256)


def write_manifest(run: Run, fold: int, folds: int, sha256: dict[str, str]) -> None:
    """The manifest of a run that has nothing but logits; `folds` are those of its table."""
    cpu, unknown = Device(device="cpu", precision="float32", threads=1), Evaluation(0, 0, 0)
    run.write_manifest(
        Manifest(
            variant=run.variant,
            fold=fold,
            seed=0,
            recipe="r",
            corpus="c",
            folds=FoldTable(name="session5", by="session", count=folds, hash="f"),
            parameters=0,
            steps=0,
            seconds=1.0,
            best_while_training=0.0,
            memory=10**8,
            training=cpu,
            prediction=Prediction(config=WHOLE, device=cpu),
            validation=unknown,
            sha256=sha256,
            made_by={},
        )
    )


def noise(common_seed: list[int], member_seed: int, n: int, classes: int = CLASSES) -> np.ndarray:
    """Noise (n, classes) of variance 1, half of which is the same for all members."""
    common = np.random.default_rng(common_seed).standard_normal((n, classes), np.float32)
    random = np.random.default_rng([*common_seed, member_seed])
    return np.float32(0.5**0.5) * (common + random.standard_normal((n, classes), np.float32))


if __name__ == "__main__":
    main()
