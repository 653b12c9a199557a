"""The ladder, measured: `make ladder`. A table of factors for hw4's variants and public solutions.

Every recipe is shrunk by one rule so that a CPU core trains it in minutes, and trained from three
seeds, each of which holds out another session fold of six: one network of each kind in equal
steps, in equal times, and as many networks as `--time-limit` would choose for these times. Each is
predicted alone, with label spreading and with everything there is, and scored on the corpus's
unseen test sessions, by truth.csv, after all training is finished. Finished runs are not trained
again. Writes docs/ladder.md, a section for each corpus.

`--on slurm` or `ray` trains elsewhere, as `hw4 train` does: docs/scale.md.

With `--device cuda` the same steps are trained on a card: how many fit into a time is still
measured on one CPU core, before (`costs.json` of the workspace keeps it). `--jobs 8` share the
card well behind NVIDIA's MPS (`nvidia-cuda-mps-control -d`): docs/LOG.md.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ladder_corpus import SPLIT, LadderCorpus
from ladder_report import INTRODUCTION, PEERS, Hits, Result, Sets, section

from kaggle_hw4.competition import LADDER
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.execution.choice import choose_networks
from kaggle_hw4.execution.executor import run_all
from kaggle_hw4.execution.placement import LOCAL, Placement, find_placement
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.inference.logits import Task, predict_sets
from kaggle_hw4.logits import dense
from kaggle_hw4.networks import AnyNetwork, AttentionConfig, ConvolutionConfig
from kaggle_hw4.recipe import NEIGHBOURS, Recipe, read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.training.measure import Cost, measure

SEEDS = (0, 1, 2)
BATCH = 32
JOBS = 2  # at a time, unless a place or a number is given
MEASURED = 1000  # steps of the recipe whose cost is measured
MEASUREMENTS = 3  # of a cost
RECIPES = (*LADDER, *PEERS)


@dataclass(frozen=True)
class Trained:
    """A recipe of the ladder, shrunk, with so many networks of each kind for so many steps."""

    name: str
    networks: int
    steps: int

    def settings(self, recipe: Recipe) -> tuple[str, ...]:
        return (*shrunk(recipe, self.steps), f"networks.count={self.networks}")


def main() -> None:
    parser = make_parser(__doc__, Path("docs/ladder.md"), RECIPES, "a peer among them")
    parser.add_argument("--device", default="cpu", help="that trains")
    arguments = parser.parse_args()
    parts = [INTRODUCTION]
    for described in arguments.corpus:
        case = LadderCorpus.open(*described, arguments.device)
        parts += [case.heading()]
        for title, rows in budgets(case, arguments.recipes, arguments.seconds):
            train_all(case, rows, placement_of(arguments))
            parts += section(title, [result_of(case, row) for row in rows])
            arguments.out.write_text("\n".join(parts), encoding="utf-8")


def make_parser(
    text: str, out: Path, recipes: Sequence[str], which: str
) -> argparse.ArgumentParser:
    """The options of a benchmark that trains recipes; `which` says what --recipes can be."""
    parser = argparse.ArgumentParser(description=text.split("\n")[0])
    parser.add_argument(
        "--corpus",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "WORKSPACE", "TRUTH", "STEPS"),
        help="STEPS 0: no budget of steps",
    )
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--recipes", nargs="*", default=recipes, help=which)
    parser.add_argument("--seconds", type=float, nargs="*", default=[], help="of a core, each")
    parser.add_argument("--on", help="local, slurm, ray or ray://ADDRESS, as in `hw4 train`")
    parser.add_argument("--jobs", type=int, help="runs at a time; else 2, with --on one a device")
    parser.add_argument("--slurm", action="append", metavar="KEY=VALUE", help="of sbatch")
    return parser


def placement_of(arguments: argparse.Namespace) -> Placement:
    """Where runs are trained: with a thread each, as their costs were measured."""
    on = arguments.on or LOCAL
    jobs = arguments.jobs or (None if arguments.on else JOBS)
    placement = find_placement(on, jobs, arguments.slurm)
    assert placement is not None, "a place is named"
    return replace(placement, threads=1)


def budgets(
    case: LadderCorpus, names: Sequence[str], times: Sequence[float]
) -> Iterator[tuple[str, list[Trained]]]:
    """A title, and what is trained under it: equal steps, then each of the times."""
    if case.steps:
        title = f"{case.steps:,} steps of {BATCH} segments each"
        yield title, [Trained(name, 1, case.steps) for name in names]
    for seconds in times:
        rows = [row for name in names for row in in_time(case, name, seconds)]
        yield f"About {seconds:g} s of one core each", rows


def in_time(case: LadderCorpus, name: str, seconds: float) -> list[Trained]:
    """One network of each kind in so many seconds, and as many as are best spent on, if more."""
    recipe, cost = recipe_of(case, Trained(name, 1, MEASURED)), cost_of(case, name)
    utterances = len(case.folds.training(0))
    counts = {1, choose_networks(seconds, cost, utterances, recipe)}
    return [Trained(name, count, steps_in(seconds, cost, count)) for count in sorted(counts)]


def steps_in(seconds: float, cost: Cost, count: int = 1) -> int:
    """How many steps of so many networks of each kind fit into the seconds; 20 at least."""
    left = seconds / count - cost.prediction - cost.validation
    return max(20, int(left / cost.step / 10) * 10)


def cost_of(case: LadderCorpus, name: str) -> Cost:
    """What a run of one network of each kind costs, the median of some measurements: kept, so that
    the steps of finished runs stay theirs.
    """
    path = case.place.root / "costs.json"
    costs = json.loads(path.read_text()) if path.is_file() else {}
    if name not in costs:
        recipe = recipe_of(case, Trained(name, 1, MEASURED))
        store = FrameStore(case.corpus, torch.device("cpu"))
        tries = [measure(recipe, case.folds, 0, store, "float32") for _ in range(MEASUREMENTS)]
        costs[name] = vars(sorted(tries, key=lambda cost: cost.step)[MEASUREMENTS // 2])
        path.write_text(json.dumps(costs, indent=1))
    return Cost(**costs[name])


def recipe_of(case: LadderCorpus, row: Trained) -> Recipe:
    path = case.place.variant(row.name)
    return read_recipe(path, row.settings(read_recipe(path)))


def train_all(case: LadderCorpus, rows: Sequence[Trained], placement: Placement) -> None:
    """Train every row from every seed there, in processes of one thread."""
    specs = [spec_of(case, row, seed) for seed in SEEDS for row in rows]
    with placement.executor(str(case.place.root)) as executor:
        for outcome in run_all(executor, specs).values():
            outcome.result()


def spec_of(case: LadderCorpus, row: Trained, seed: int) -> RunSpec:
    """In float32, which the costs were measured in; the seed is also the fold held out."""
    settings = row.settings(read_recipe(case.place.variant(row.name)))
    device = str(case.store.device)
    place = str(case.place.root)
    return RunSpec(place, row.name, settings, SPLIT, seed, seed, device, "float32")


def result_of(case: LadderCorpus, row: Trained) -> Result:
    recipe, inputs = recipe_of(case, row), [case.corpus.hash, case.folds.hash]
    stem = case.place.variant(row.name).stem
    runs = [Run.of(case.place.runs, stem, recipe, inputs, seed, seed) for seed in SEEDS]
    cost = cost_of(case, row.name)
    usual = recipe.predict.statistics
    alone, spread, everything = (
        [evaluate(run, case, *how) for run in runs]
        for how in ((0, usual, False), (NEIGHBOURS, usual, False), (NEIGHBOURS, True, True))
    )
    return Result(
        name=row.name,
        networks=sum(config.count for config in recipe.networks),
        parameters=runs[0].manifest().parameters,
        seconds=row.networks * cost.run(row.steps, row.steps),
        steps=row.steps,
        alone=Sets.of(alone),
        spread=Sets.of(spread),
        everything=Sets.of(everything),
    )


def evaluate(
    run: Run, case: LadderCorpus, neighbours: int, statistics: bool, self_training: bool
) -> tuple[Hits, Hits, Hits]:
    """What a run gets right with so many neighbours of label spreading, with second-order
    statistics and self-training or without: seen-session, session validation, unseen.
    """
    changed = {
        "spreading_neighbours": neighbours,
        "statistics": statistics,
        "self_training": self_training,
    }
    task = Task(run, case.folds, run.recipe().predict.model_copy(update=changed))
    model = task.load_model(case.corpus, "float32").to(case.store.device)
    [predicted] = predict_sets([task], [model], case.store)
    labels = case.corpus.labels.copy()
    labels[case.corpus.test] = case.speaker
    rows = task.sets(case.corpus)
    first, second, third = (
        Hits(dense(predicted.logits[name]).argmax(1) == labels[rows[name]], labels[rows[name]])
        for name in ("seen_session", "oof", "test")
    )
    return first, second, third


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


if __name__ == "__main__":
    main()
