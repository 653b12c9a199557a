"""A thousand times the data: what grows how, and what it comes to. Writes docs/scale_measured.md.

    python -m benchmarks.scale [CASE ...]

Each size of each case is measured in a process of its own (benchmarks/scale_cases.py); what is
measured already is kept in build/scale.json. Times are of processor time on one thread.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench.page import digits, table
from benchmarks.bench.results import fit_exponent
from benchmarks.many_speakers import SPEAKERS, top_k_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "scale.json"
PAGE = ROOT / "docs" / "scale_measured.md"
UTTERANCES = 57_000_000
TOP_K = "top_k"

Values = dict[str, float]


@dataclass(frozen=True)
class Curve:
    """A case, its sizes, and what of it is shown; its law is continued to `target`."""

    case: str
    title: str
    unit: str
    sizes: tuple[int, ...]
    target: int
    columns: tuple[str, ...] = ("seconds", "memory")
    continued: bool = True  # whether these sizes are large enough for its law


MANY = (100, 600, 3000, 12_000, 60_000)
SOME = (1000, 10_000, 100_000)
FEW = (1000, 3000, 10_000)
CURVES = (
    Curve("step", "A training step of Boss, 64 segments of 200 frames", "speakers", MANY, SPEAKERS,
          ("seconds", "memory", "parameters")),
    Curve("prediction", "Boss's head behind a small encoder: 4,000 utterances of 3 segments "
          "predicted, evaluated and written", "speakers", MANY, SPEAKERS,
          ("seconds", "memory", "disk", "matrix")),
    Curve("ensemble", "An ensemble of 4 members and 2 folds, 2,000 utterances out of fold, 500 "
          "of the test set", "speakers", MANY, SPEAKERS, ("seconds", "memory", "disk")),
    Curve("ensemble_of_matrices", "The same with matrices, as before", "speakers",
          (600, 3000, 12_000), SPEAKERS, ("seconds", "memory", "disk")),
    Curve("teacher", "A teacher of 4 members: the mean of 4,000 rows of logits, and the targets of "
          "16 batches of a student", "speakers", MANY, SPEAKERS,
          ("seconds", "memory", "disk", "matrix")),
    Curve("self_training", "Self-training: the analysis of 4,000 utterances of a set, fused",
          "speakers", MANY, SPEAKERS),
    Curve("spreading", "Label spreading's neighbours, exact", "utterances", SOME, UTTERANCES // 10),
    Curve("approximate", "Label spreading's neighbours, approximate", "utterances",
          (3000, 10_000, 30_000, 100_000), UTTERANCES // 10,
          ("seconds", "memory", "recall", "labels")),
    Curve("duplicates", "Near-duplicates", "utterances", SOME, UTTERANCES),
    Curve("shift", "The share in unseen sessions (a sample, of more than 20,000 test utterances)",
          "utterances", SOME, UTTERANCES, continued=False),
    Curve("density", "The density of the test set", "utterances", FEW, UTTERANCES,
          continued=False),
    Curve("packing", "Packing and opening", "utterances", (300, 1000, 3000), UTTERANCES,
          ("seconds", "memory", "opening", "disk"), continued=False),
    Curve("sessions", "Guessed sessions", "utterances", FEW, UTTERANCES),
)  # fmt: skip
UNITS = {"seconds": "s", "opening": "s", "memory": "GB", "disk": "GB", "matrix": "GB"}
HEADERS = {"matrix": "as a matrix", "recall": "neighbours found", "labels": "labels changed"}


def main(chosen: Sequence[str]) -> None:
    results: dict[str, Values | str] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    RESULTS.parent.mkdir(exist_ok=True)
    if not chosen or TOP_K in chosen:
        results.setdefault(TOP_K, top_k_table(SPEAKERS))
    for curve in CURVES:
        for size in curve.sizes:
            key = f"{curve.case} {size}"
            if key not in results and (not chosen or curve.case in chosen):
                results[key] = measure(curve.case, size)
                print(key, results[key], flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results), encoding="utf-8")


def measure(case: str, size: int) -> Values:
    command = [sys.executable, "-m", "benchmarks.scale_cases", case, str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case} {size}: {done.stderr[-2000:]}")
    values: Values = json.loads(done.stdout.splitlines()[-1])
    return values


def page(results: dict[str, Values | str]) -> str:
    sections = [INTRODUCTION]
    for curve in CURVES:
        rows = [results[f"{curve.case} {size}"] for size in curve.sizes
                if f"{curve.case} {size}" in results]  # fmt: skip
        sections.append(section(curve, [row for row in rows if isinstance(row, dict)]))
    top_k = results.get(TOP_K, "")
    sections.append(TOP_K_TEXT + str(top_k))
    return "\n".join(section for section in sections if section)


def section(curve: Curve, rows: Sequence[Values]) -> str:
    """A table of a curve, its exponents, and the power law continued to a thousand times."""
    if not rows:
        return ""
    header = (curve.unit, *(HEADERS.get(name, name) for name in curve.columns))
    lines = [
        (f"{int(row['size']):,}", *(figure(name, row.get(name)) for name in curve.columns))
        for row in rows
    ]
    laws = [law(curve, rows, name) for name in curve.columns if name == "seconds" and len(rows) > 1]
    text = f"## {curve.title}\n\n{table(header, lines)}\n"
    return text + "".join(f"{sentence}\n" for sentence in laws)


def law(curve: Curve, rows: Sequence[Values], name: str) -> str:
    """What is fitted to the last three sizes, and what it makes of the target."""
    last = rows[-3:]
    slope, _ = fit_exponent([row["size"] for row in last], [row[name] for row in last])
    sentence = f"{name} grow as {curve.unit} ^ {slope:.2f} (the last {len(last)} sizes)"
    largest = last[-1]
    if largest["size"] >= curve.target or not curve.continued:
        return sentence + "."
    times = curve.target / largest["size"]
    took = largest[name] * times**slope
    total = f"{digits(took / 3600)} hours" if took > 3600 else f"{digits(took)} s"
    return (
        f"{sentence}; {curve.target:,} would take {digits(largest[name])} s × "
        f"{times:,.0f} ^ {slope:.2f} = {total}."
    )


def figure(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name == "parameters":
        return f"{value / 1e6:,.1f} M"
    if name in ("recall", "labels"):
        return f"{value:.2%}"
    return f"{digits(value)} {UNITS[name]}"


INTRODUCTION = """# A thousand times the data, measured

Written by `make scale`; nothing here is edited by hand. Everything is synthetic. Each size is
measured in a process of its own, on one thread of a CPU that did other work at the same time:
seconds are of processor time, and only their ratios mean something. Memory is the largest resident
set of the process, of which Python, torch and scikit-learn are 0.4 GB.
[scale.md](scale.md) has what follows.
"""
TOP_K_TEXT = f"""## What keeping the largest k logits of a row would change

A mean of the log-probabilities of two members, 400 rows, {SPEAKERS:,} speakers: exact, against one
in which each row keeps its k likeliest classes and the log-mean-exp of the others, so that it still
sums to 1. The members' tails are drawn independently (cosines with random directions, times 30).
The change is the largest of a row's probabilities; *likeliest* is the mean probability of the
likeliest class.

"""

if __name__ == "__main__":
    main(sys.argv[1:])
