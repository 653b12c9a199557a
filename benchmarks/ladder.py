"""The ladder, measured: `make ladder`. hw4's variants and public solutions under one budget.

Every recipe is shrunk by one rule so that two CPU cores train it in minutes, trained from three
seeds, each of which holds out another session fold of six, and scored on the corpus's unseen test
sessions, by truth.csv, after all training is finished. Finished runs are not trained again. Writes
docs/ladder.md, a section for each corpus.
"""

import argparse
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ladder_corpus import SPLIT, LadderCorpus
from ladder_report import PEERS, Hits, Result, over, recipes_of, summary, table

from kaggle_hw4.competition import LADDER
from kaggle_hw4.execution.executor import run_all
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.networks import AnyNetwork, AttentionConfig, ConvolutionConfig
from kaggle_hw4.recipe import PredictionConfig, Recipe, read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.workspace import Workspace

SEEDS = (0, 1, 2)
BATCH = 32
Sets = tuple[Hits, Hits, Hits]  # seen-session, session validation, unseen

INTRODUCTION = """# The ladder, measured

Written by `make ladder`. None of these figures is a Kaggle score. Every recipe is shrunk by one
rule (a quarter of the width, half of the layers and of long kernels, the same batch size;
`shrunk` in benchmarks/ladder.py) so that two CPU cores train it in minutes. Three seeds; seed *i*
holds out session fold *i* of 6. All accuracies are balanced (every speaker has the same weight),
and are given as mean ± standard deviation over the seeds.

- *seen-session*: accuracy on a tenth of the utterances of the sessions trained on, held out from
  the training. This is what a random split estimates.
- *session*: accuracy on whole guessed sessions that are held out. Utterances that are too near to
  them are left out of the training as well.
- *unseen*: accuracy on the test set, whose sessions are all unseen; scored by truth.csv after all
  the training was finished.
- The standard errors, of a step of the ladder and of "session minus unseen", are those of a
  bootstrap: seeds and speakers resampled together, 2,000 times.
- `boss` and `champion` are ensembles of several networks and use transductive label spreading
  over the set that is predicted. The rows below them show them without label spreading, and their
  first network only, without label spreading.
- `peers/sample` is the same recipe as `simple`. Seconds are those of one thread while other
  processes were running.
"""


def main() -> None:
    arguments = parse()
    parts, recipes = [INTRODUCTION], (*LADDER, *PEERS)
    for found in arguments.corpus:
        case = LadderCorpus.open(*found)
        results = measure(case, dict.fromkeys(recipes, case.steps), arguments.jobs)
        title = f"{case.steps:,} steps of {BATCH} segments each"
        parts += [case.heading(), *section(title, results)]
        if arguments.seconds and len(recipes) > len(LADDER):
            parts += timed(case, results, arguments.seconds, arguments.jobs)
        arguments.out.write_text("\n".join(parts), encoding="utf-8")
        recipes = LADDER  # on the other corpora: is the order of the rungs the same?


def timed(case: LadderCorpus, results: Sequence[Result], seconds: float, jobs: int) -> list[str]:
    """All of them in equal time, and the best peer in as much time as champion took."""
    named = {r.name: r for r in recipes_of(results)}
    champion = named["champion"]
    peer = max((named[p] for p in PEERS), key=lambda r: r.mean("session"))
    equal = measure(case, {n: in_time(r, seconds) for n, r in named.items()}, jobs)
    patient = measure(case, {peer.name: in_time(peer, champion.seconds)}, jobs)
    title = f"{peer.name}, the best peer by session, in as much time as champion took"
    return [
        *section(f"About {seconds:g} s of one core each", equal),
        *(f"### {title}\n", table(patient), "", over(champion, patient[0]), ""),
    ]


def measure(case: LadderCorpus, steps: dict[str, int], jobs: int) -> list[Result]:
    """Train what is missing, and evaluate all of it."""
    train_all(case.place, steps, jobs)
    return collect(case, steps)


def section(title: str, results: Sequence[Result]) -> list[str]:
    return [f"### {title}\n", table(results), "", summary(results), ""]


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
    parser.add_argument(
        "--seconds", type=float, default=0, help="a second table, of equal training time"
    )
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def shrunk(recipe: Recipe, steps: int) -> list[str]:
    """The settings that make `recipe` small, by one rule for all.

    A quarter of the width, half of the layers and of long kernels, batches of 32, every count of
    steps in proportion. So short a training needs three times the learning rate (but post-norm
    diverges then) and a quarter of the dropout. The sample recipe is small enough to stay as it is.
    """
    share = steps / recipe.schedule.steps
    values: dict[str, Any] = {
        "segments.batch_size": BATCH,
        "schedule.steps": steps,
        "schedule.warmup_steps": steps // 10,
        "schedule.validate_every": steps,
        "loss.margin_warmup_steps": round(recipe.loss.margin_warmup_steps * share),
        "large_margin_fine_tuning.steps": round(recipe.large_margin_fine_tuning.steps * share),
    }
    if recipe.optimizer.ema_decay:
        values["optimizer.ema_decay"] = 0.99
    if all(getattr(config, "norm", "") != "post" for config in recipe.networks):
        values["optimizer.learning_rate"] = 3 * recipe.optimizer.learning_rate
        for i, config in enumerate(recipe.networks):
            values |= shrunk_network(f"networks.{i}", config)
    return [f"{key}={value}" for key, value in values.items()]


def shrunk_network(section: str, config: AnyNetwork) -> dict[str, Any]:
    layers = -(-config.n_layers // 2) if config.encoder != "ecapa" else config.n_layers
    width = config.d_model // 4
    values = {"dropout": config.dropout / 4, "d_model": width, "n_layers": layers}
    if isinstance(config, AttentionConfig):
        values["d_ffn"] = config.d_ffn // 4
    if isinstance(config, ConvolutionConfig) and config.kernel_size > 7:
        values["kernel_size"] = config.kernel_size // 2 | 1
    small = config.model_copy(update={"d_model": width, "n_layers": layers})
    keeps = config.embedding in ("none", "batch_norm")
    values["d_embedding"] = small.d_pooled if keeps else config.d_embedding // 4
    return {f"{section}.{key}": value for key, value in values.items()}


def train_all(place: Workspace, steps: dict[str, int], jobs: int) -> None:
    """Train every recipe from every seed, `jobs` processes of one thread at a time."""
    specs = []
    for seed in SEEDS:
        for name, count in steps.items():
            settings = tuple(shrunk(read_recipe(place.variant(name)), count))
            specs.append(RunSpec(str(place.root), name, settings, SPLIT, seed, seed))
    for outcome in run_all(Subprocesses(jobs, threads=1), specs).values():
        outcome.result()


def collect(case: LadderCorpus, steps: dict[str, int]) -> list[Result]:
    """A row for every recipe, and for its ablations: no label spreading, one network only."""
    results = []
    for name, count in steps.items():
        path = case.place.variant(name)
        recipe = read_recipe(path, shrunk(read_recipe(path), count))
        inputs = [case.corpus.hash, case.folds.hash]
        runs = [Run.of(case.place.runs, path.stem, recipe, inputs, seed, seed) for seed in SEEDS]
        whole = result_of(name, count, runs, [stored(run, case) for run in runs])
        results.append(whole)
        alone = recipe.predict.model_copy(update={"spreading_neighbours": 0})
        networks = sum(config.count for config in recipe.networks)
        if recipe.predict.spreading_neighbours:
            evaluated = [evaluate(run, case, alone, networks) for run in runs]
            results.append(result_of(f"{name}, no label spreading", count, runs, evaluated))
        if networks > 1:
            evaluated = [evaluate(run, case, alone, 1) for run in runs]
            one = result_of(
                f"{name}, first network only, no label spreading", count, runs, evaluated
            )
            first = build_model(recipe, len(case.corpus.speakers)).networks[0]
            share = {"parameters": count_parameters(first), "seconds": math.nan}
            results.append(dataclasses.replace(one, **share))
    return results


def result_of(name: str, steps: int, runs: Sequence[Run], evaluated: Sequence[Sets]) -> Result:
    manifests = [run.manifest() for run in runs]
    seconds = float(np.mean([manifest.seconds for manifest in manifests]))
    seen_session, session, unseen = zip(*evaluated, strict=True)
    return Result(name, manifests[0].parameters, seconds, steps, seen_session, session, unseen)


def stored(run: Run, case: LadderCorpus) -> Sets:
    """What the run's own logits got right: seen-session, session validation, unseen."""
    said = [run.read_logits(name).values.argmax(1) for name in ("seen_session", "oof", "test")]
    return compare(said, run, case)


def evaluate(run: Run, case: LadderCorpus, plan: PredictionConfig, networks: int) -> Sets:
    """The same of the first `networks` of its networks under `plan`, predicted anew."""
    corpus, folds, fold = case.corpus, case.folds, run.fold
    model = build_model(run.recipe(), len(corpus.speakers), corpus.n_mels)
    read_weights(run.folder / f"{plan.weights}.safetensors", model)
    model.networks = model.networks[:networks]
    sets = (folds.seen_session(fold), folds.validation(fold), corpus.test)
    said = [predict_logits(model, case.store, rows, plan).argmax(1) for rows in sets]
    return compare(said, run, case)


def compare(said: Sequence[np.ndarray], run: Run, case: LadderCorpus) -> Sets:
    corpus, folds, fold = case.corpus, case.folds, run.fold
    seen_session, session = (
        corpus.labels[rows] for rows in (folds.seen_session(fold), folds.validation(fold))
    )
    answers = (seen_session, session, case.speaker)
    one, two, three = (Hits(s == a, a) for s, a in zip(said, answers, strict=True))
    return one, two, three


if __name__ == "__main__":
    main()
