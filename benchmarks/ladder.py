"""The ladder, measured: `make ladder`. Peers and ours on one corpus under one budget.

Every recipe is shrunk alike to what two CPU cores train in minutes, trained from three seeds, each
of which holds out another session fold of five, and scored on the corpus's unseen test sessions,
by truth.csv, after everything is trained. Runs that are done are not made again. Writes
docs/ladder.md, a section for each corpus.
"""

import argparse
import csv
import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from kaggle_hw4.data.folds import Folds, find_folds
from kaggle_hw4.data.packed import Packed, open_packed
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.inference.logits import load_weights
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.models import build_model
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import Workspace

OURS = ("simple", "medium", "strong", "boss", "champion")
PEERS = ("peers/popular_boss", "peers/aaricis", "peers/viesuki")  # peers/sample is simple
SPLIT, SEEDS = "session5", (0, 1, 2)
BATCH = 32
DRAWS = 2000  # of the bootstrap

INTRODUCTION = """# The ladder, measured

Written by `make ladder`; not a Kaggle score. Every recipe is shrunk by one rule (a quarter of the
width, half of the layers and of long kernels, the same batches; `shrunk` in benchmarks/ladder.py)
to what two CPU cores train in minutes. Three seeds; seed *i* holds out session fold *i* of 5. Mean
± standard deviation over the seeds.

- *heard*: a tenth of the sessions trained on, held out: what a random split promises.
- *session*: whole guessed sessions, held out, with nothing trained on that is near them.
- *unseen*: the test set's sessions, scored by truth.csv after everything was trained.
- A step's standard error: seeds and speakers drawn anew together, 2,000 times.
- `peers/sample` is `simple`. Seconds are of one thread, beside other work.
"""


@dataclass(frozen=True)
class Result:
    """One recipe's runs. `right` (seeds, N): which test utterances each got right."""

    name: str
    parameters: int
    seconds: float
    steps: int
    heard: np.ndarray
    session: np.ndarray
    right: np.ndarray

    @property
    def test(self) -> np.ndarray:
        return self.right.mean(1)


@dataclass(frozen=True)
class Corpus:
    """A packed and split corpus in a workspace, with the answers of its test set."""

    name: str
    place: Workspace
    packed: Packed
    folds: Folds
    speaker: np.ndarray  # (N,) labels of the test utterances

    steps: int

    @classmethod
    def open(cls, name: str, workspace: str, truth: str, steps: str) -> "Corpus":
        place = Workspace.at(Path(workspace))
        packed = open_packed(place.packed)
        with Path(truth).open(newline="") as file:
            answers = {row["Id"]: row["Category"] for row in csv.DictReader(file)}
        speaker = [packed.speakers.index(answers[packed.ids[row]]) for row in packed.test]
        folds = find_folds(place.folds, packed, SPLIT)
        return cls(name, place, packed, folds, np.array(speaker), int(steps))


def main() -> None:
    arguments = parse()
    parts, recipes = [INTRODUCTION], (*OURS, *PEERS)
    for found in arguments.corpus:
        corpus = Corpus.open(*found)
        steps = dict.fromkeys(recipes, corpus.steps)
        train_all(corpus.place, steps, arguments.jobs)
        results = collect(corpus, steps)
        parts += [heading(corpus), f"### {corpus.steps:,} steps of {BATCH} segments each\n"]
        parts += [table(results), "", steps_of(results, corpus.speaker), ""]
        if arguments.seconds and len(recipes) > len(OURS):
            trained = {r.name: r for r in results if r.name in steps}
            steps = {n: in_time(r, arguments.seconds) for n, r in trained.items()}
            train_all(corpus.place, steps, arguments.jobs)
            results = collect(corpus, steps)
            parts += [f"### About {arguments.seconds:g} s of one core each\n"]
            parts += [table(results), "", steps_of(results, corpus.speaker), ""]
        arguments.out.write_text("\n".join(parts), encoding="utf-8")
        recipes = OURS  # on the other corpora: is the ladder still one?


def in_time(result: Result, seconds: float) -> int:
    """The steps that fit the budget, at the pace of the first table."""
    return max(100, round(result.steps * seconds / result.seconds / 10) * 10)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--corpus",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "WORKSPACE", "TRUTH", "STEPS"),
    )
    parser.add_argument("--out", type=Path, default=Path("docs/ladder.md"))
    parser.add_argument("--seconds", type=float, default=0, help="a budget of time as well")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def shrunk(recipe: Recipe, steps: int) -> list[str]:
    """The settings that make `recipe` small, by one rule for all.

    A quarter of the width, half of the layers and of long kernels, batches of 32, every count of
    steps in proportion. So short a training wants three times the rate (but post-norm diverges
    then) and a quarter of the dropout. The sample is small enough to stay as it is.
    """
    model, share = recipe.model, steps / recipe.schedule.steps
    values: dict[str, Any] = {
        "segments.batch_size": BATCH,
        "schedule.steps": steps,
        "schedule.warmup_steps": steps // 10,
        "schedule.validate_every": steps,
        "loss.margin_warmup": round(recipe.loss.margin_warmup * share),
        "fine_tuning.steps": round(recipe.fine_tuning.steps * share),
    }
    if recipe.optimizer.ema_decay:
        values["optimizer.ema_decay"] = 0.99
    if getattr(model, "norm", "") != "post":
        layers = -(-model.n_layers // 2) if model.encoder != "ecapa" else model.n_layers
        width = model.d_model // 4
        values |= {
            "optimizer.learning_rate": 3 * recipe.optimizer.learning_rate,
            "model.dropout": model.dropout / 4,
            "model.d_model": width,
            "model.n_layers": layers,
        }
        if hasattr(model, "d_ffn"):
            values["model.d_ffn"] = model.d_ffn // 4
        if getattr(model, "kernel_size", 0) > 7:
            values["model.kernel_size"] = model.kernel_size // 2 | 1
        small = model.model_copy(update={"d_model": width, "n_layers": layers})
        keeps = model.embedding in ("none", "batch_norm")
        values["model.d_embedding"] = small.d_pooled if keeps else model.d_embedding // 4
    return [f"{key}={value}" for key, value in values.items()]


def train_all(place: Workspace, steps: dict[str, int], jobs: int) -> None:
    """Train every recipe from every seed, `jobs` processes of one thread at a time."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HW4_WORKSPACE": str(place.root)}
    commands = []
    for seed in SEEDS:
        for name, count in steps.items():
            recipe = read_recipe(place.variant(name))
            settings = [part for s in shrunk(recipe, count) for part in ("-s", s)]
            which = ["--variant", name, "--split", SPLIT, "--fold", str(seed), "--seed", str(seed)]
            commands.append([sys.executable, "-m", "kaggle_hw4", "train", *which, *settings])
    with ThreadPoolExecutor(jobs) as pool:
        list(
            pool.map(lambda command: subprocess.run(command, check=True, env=environment), commands)
        )


def collect(corpus: Corpus, steps: dict[str, int]) -> list[Result]:
    results = []
    for name, count in steps.items():
        path = corpus.place.variant(name)
        recipe = read_recipe(path, shrunk(read_recipe(path), count))
        inputs = [corpus.packed.hash, corpus.folds.hash]
        runs = [Run.of(corpus.place.runs, path.stem, recipe, inputs, seed, seed) for seed in SEEDS]
        results.append(result_of(name, count, runs, corpus.speaker))
        if recipe.predict.neighbours:
            results.append(alone(results[-1], runs, corpus))
    return results


def result_of(name: str, steps: int, runs: Sequence[Run], labels: np.ndarray) -> Result:
    said = [run.manifest() for run in runs]
    return Result(
        name,
        said[0]["parameters"],
        float(np.mean([m["seconds"] for m in said])),
        steps,
        np.array([m["heard"]["accuracy"] for m in said]),
        np.array([m["validation"]["accuracy"] for m in said]),
        np.stack([run.read_logits("test").values.argmax(1) == labels for run in runs]),
    )


def alone(result: Result, runs: Sequence[Run], corpus: Corpus) -> Result:
    """The same runs, every utterance predicted by itself."""
    packed, folds, rights = corpus.packed, corpus.folds, []
    store = FrameStore(packed, torch.device("cpu"))
    for seed, run in zip(SEEDS, runs, strict=True):
        plan = run.recipe().predict.model_copy(update={"neighbours": 0})
        model = build_model(run.recipe(), len(packed.speakers), packed.n_mels)
        load_weights(model, run.folder / f"{plan.weights}.safetensors")
        sets = (folds.heard(seed), folds.validation(seed), packed.test)
        said = [predict_logits(model, store, rows, plan).argmax(1) for rows in sets]
        answers = (packed.labels[sets[0]], packed.labels[sets[1]], corpus.speaker)
        rights.append([s == a for s, a in zip(said, answers, strict=True)])
    heard, session = (np.array([r[i].mean() for r in rights]) for i in range(2))
    return dataclasses.replace(
        result,
        name=f"{result.name}, each utterance alone",
        heard=heard,
        session=session,
        right=np.stack([r[2] for r in rights]),
    )


def step_error(above: Result, below: Result, speaker: np.ndarray) -> tuple[float, float]:
    """The step between two recipes on the test, and its standard error: seeds and speakers drawn
    anew, together, 2,000 times.
    """
    random = np.random.default_rng(0)
    gain = above.right.astype(float) - below.right
    by_speaker = np.stack([gain[:, speaker == s].mean(1) for s in np.unique(speaker)])
    n, seeds = by_speaker.shape
    draws = [
        by_speaker[random.integers(0, n, n)][:, random.integers(0, seeds, seeds)].mean()
        for _ in range(DRAWS)
    ]
    return float(gain.mean()), float(np.std(draws))


def heading(corpus: Corpus) -> str:
    packed = corpus.packed
    return (
        f"## {corpus.name}\n\n{len(packed.speakers)} speakers, {len(packed.train):,} training and "
        f"{len(packed.test):,} test utterances.\n"
    )


def table(results: Sequence[Result]) -> str:
    lines = [
        "| recipe | parameters | steps | seconds | heard | session | unseen | session - unseen | "
        "heard - unseen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" for v in (r.heard, r.session, r.test)]
        gaps = [f"{100 * (v.mean() - r.test.mean()):+.1f}" for v in (r.session, r.heard)]
        lines.append(
            f"| {r.name} | {r.parameters:,} | {r.steps:,} | {r.seconds:.0f} | "
            + " | ".join([*cells, *gaps])
            + " |"
        )
    return "\n".join(lines)


def steps_of(results: Sequence[Result], speaker: np.ndarray) -> str:
    """The steps of the ladder with their errors, the errors' ratios, the rank correlations."""
    named = {r.name: r for r in results}
    lines = []
    for below, above in itertools.pairwise(OURS):
        gain, error = step_error(named[above], named[below], speaker)
        lines.append(
            f"- {below} → {above}: {100 * gain:+.1f} points, standard error {100 * error:.1f} "
            f"({gain / error:.1f} of them)"
        )
    if peers := [named[p] for p in PEERS if p in named]:
        best = max(peers, key=lambda r: r.test.mean())
        for name in ("boss", *(n for n in named if n.startswith("champion"))):
            ratio = (1 - named[name].test.mean()) / (1 - best.test.mean())
            lines.append(f"- Error of {name} over that of the best peer ({best.name}): {ratio:.2f}")
    for kind in ("session", "heard"):
        rho = spearmanr(
            [getattr(r, kind).mean() for r in results], [r.test.mean() for r in results]
        )
        lines.append(
            f"- Spearman({kind}, unseen) over the {len(results)} rows: {rho.statistic:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
