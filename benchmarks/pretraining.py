"""Does learning without labels pay? Boss alone, and Boss after each of the other ways, in as much
time.

    python benchmarks/pretraining.py --corpus NAME WORKSPACE TRUTH [--seconds S] [--arms A …]

Boss is shrunk as in benchmarks/ladder.py. Times are those of one core, measured, and hold for all
that a way needs: after a pretraining of S/4 a training has what is left of S; three networks of S
each, who label the test set or teach, and their student of S are compared with one Boss of 4 S.
Seed i holds out session fold i of 6. Every accuracy is that of each utterance alone. TRUTH is read
after the training. What is finished is not trained again. Writes --out, a table for each corpus.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import product, repeat
from multiprocessing import get_context
from pathlib import Path

import torch
from ladder import SEEDS, shrunk
from ladder_corpus import SPLIT, LadderCorpus
from ladder_report import with_spread
from pretraining_report import Results, evaluate, gain, intro

from kaggle_hw4.execution.executor import run_all
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.execution.worker import Silent
from kaggle_hw4.pretraining.batches import FrameBatches
from kaggle_hw4.pretraining.loop import PretrainingStep, rows_of, start
from kaggle_hw4.pretraining.recipe import OBJECTIVES, read_pretraining_recipe
from kaggle_hw4.pretraining.run import PretrainingRun
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.pretrain import PretrainingAsked, pretrain
from kaggle_hw4.stages.pseudo_label import LabelRequest, pseudo_label
from kaggle_hw4.stages.teach import teach, teacher_of
from kaggle_hw4.training.measure import Cost, measure
from kaggle_hw4.training.step import seed_step

VARIANT = "boss"
SHARE = 0.25  # of the time, for a pretraining
TEACHERS = 3
DIAGONAL = [(seed, seed) for seed in SEEDS]  # fold, seed
MEASURED = 10  # steps
QUIET = ("large_margin_fine_tuning.steps=0",)  # what a pretraining does without
ALONE, LONG = "Boss", "Boss, four times as long"


@dataclass(frozen=True)
class Bench:
    """A corpus, and the seconds of one core that a training takes."""

    case: LadderCorpus
    seconds: float
    jobs: int
    confidence: float

    @property
    def costs(self) -> Path:
        return self.case.place.root / "pretraining-costs.json"

    def measured(self, name: str, work: Callable[[], float]) -> float:
        """The result of `work`, which is kept: so the steps of finished runs stay theirs."""
        values = json.loads(self.costs.read_text()) if self.costs.is_file() else {}
        if name not in values:
            values[name] = work()
            self.costs.write_text(json.dumps(values, indent=1))
        return float(values[name])

    @cached_property
    def cost(self) -> Cost:
        """Of a run of Boss, one network."""
        path = self.case.place.root / "pretraining-cost.json"
        if not path.is_file():
            cost = measure(self.recipe(100), self.case.folds, 0, self.case.store, "float32")
            path.write_text(json.dumps(vars(cost), indent=1))
        return Cost(**json.loads(path.read_text()))

    @property
    def base(self) -> Recipe:
        return read_recipe(self.case.place.variant(VARIANT))

    def recipe(self, steps: int) -> Recipe:
        return read_recipe(self.case.place.variant(VARIANT), self.settings(steps))

    def settings(self, steps: int) -> list[str]:
        return [*shrunk(self.base, steps), "networks.count=1"]

    def steps(self, seconds: float) -> int:
        """Of a training of so many seconds, predictions included."""
        left = seconds - self.cost.prediction - self.cost.validation
        return max(20, int(left / self.cost.step / 10) * 10)

    def train(
        self, seconds: float, runs: Sequence[tuple[int, int]] = DIAGONAL, more: Sequence[str] = ()
    ) -> list[Run]:
        """Boss in so many seconds, on every (fold, seed)."""
        settings = (*self.settings(self.steps(seconds)), *more)
        place = self.case.place
        specs = [
            RunSpec(str(place.root), VARIANT, settings, SPLIT, fold, seed) for fold, seed in runs
        ]
        outcomes = run_all(Subprocesses(self.jobs, threads=1), specs)
        for outcome in outcomes.values():
            outcome.result()
        return [outcomes[spec].run for spec in specs]

    def pretrained(self, objective: str, transductive: bool) -> list[Run]:
        """Boss after a pretraining of a part of the time."""
        cost = self.measured(f"step of {objective}", lambda: self.seconds_of_step(objective))
        ready = self.measured(f"start of {objective}", lambda: self.seconds_of_start(objective))
        steps = max(20, int((SHARE * self.seconds - ready) / cost / 10) * 10)
        asked = [
            PretrainingAsked(
                VARIANT, objective, steps, transductive, (*self.settings(steps), *QUIET), SPLIT,
                (seed,), (seed,), "cpu", "float32",
            )
            for seed in SEEDS
        ]  # fmt: skip
        with ProcessPoolExecutor(
            self.jobs, get_context("spawn"), torch.set_num_threads, (1,)
        ) as pool:
            runs = list(pool.map(pretrain, repeat(self.case.place), asked, repeat(Silent())))
        group = runs[0][0].run.folder.parent.name
        left = self.seconds - ready - cost * steps
        return self.train(left, more=[f"start.initialise_from={group}"])

    def seconds_of_start(self, objective: str) -> float:
        begin = time.perf_counter()
        self._state(objective)
        return time.perf_counter() - begin

    def seconds_of_step(self, objective: str) -> float:
        """Seconds of a pretraining step, the mean of some after a first one."""
        recipe, rows, state = self._state(objective)
        objective_of = state.model.networks[0].objective
        batches = FrameBatches(self.case.store, rows, recipe, objective_of, 0)
        take_step = PretrainingStep(state, recipe)
        for count in range(MEASURED + 1):
            if count == 1:
                begin = time.perf_counter()
            seed_step(state, 0)
            take_step(batches.at(state.step))
        return (time.perf_counter() - begin) / MEASURED

    def _state(self, objective: str):
        path = self.case.place.variant(VARIANT)
        settings = [*self.settings(100), *QUIET]
        recipe = read_pretraining_recipe(path, objective, 100, False, settings)
        rows = rows_of(recipe, self.case.corpus, self.case.folds, 0)
        nowhere = PretrainingRun(self.case.place.root / "measured" / "fold0-seed0")
        return recipe, rows, start(nowhere, recipe, self.case.store, rows, "float32")

    @cached_property
    def teachers(self) -> list[Run]:
        """Three networks of each fold."""
        return self.train(self.seconds, list(product(SEEDS, range(TEACHERS))))

    def pseudo_labelled(self) -> list[Run]:
        """A student of each fold, trained on the pseudo-labels of its teachers, too."""
        paths = [run.folder for run in self.teachers]
        begin = time.perf_counter()
        labelled = pseudo_label(self.case.place, paths, LabelRequest(self.confidence, split=SPLIT))
        self.measured("pseudo-labels", lambda: (time.perf_counter() - begin) / len(SEEDS))
        for each in labelled:
            print(f"{each.path}: {len(each.table.labels)} of {each.table.utterances}")
        left = self.seconds - self.measured("pseudo-labels", lambda: 0.0)
        name = labelled[0].path.parent.name
        return self.train(left, more=[f'pseudo_labels.labels="{name}"'])

    def distilled(self, transductive: bool) -> list[Run]:
        """A student of each fold, taught by its teachers."""
        paths = [run.folder for run in self.teachers]
        begin = time.perf_counter()
        teach(self.case.place, paths, SPLIT, SEEDS, transductive, "cpu", "float32")
        name = f"teachers' logits{', test set as well' if transductive else ''}"
        left = self.seconds - self.measured(
            name, lambda: (time.perf_counter() - begin) / len(SEEDS)
        )
        keys = [f'distillation.teacher="{teacher_of(paths, SPLIT)}"']
        keys += [f"distillation.transductive={str(transductive).lower()}"]
        return self.train(left, more=keys)


def arms(bench: Bench) -> Iterator[tuple[str, str | None, Callable[[], list[Run]]]]:
    """Name, what it is compared with, and what trains its runs, one or more for every seed."""
    yield ALONE, None, lambda: bench.train(bench.seconds)
    for objective in OBJECTIVES:
        for transductive in (False, True):
            name = f"{objective}{', test set as well' if transductive else ''}"
            yield name, ALONE, lambda o=objective, t=transductive: bench.pretrained(o, t)
    yield LONG, None, lambda: bench.train((TEACHERS + 1) * bench.seconds)
    yield "three Boss, blended", LONG, lambda: bench.teachers
    yield "pseudo-labels", LONG, bench.pseudo_labelled
    yield "distillation", LONG, lambda: bench.distilled(False)
    yield "distillation, test set as well", LONG, lambda: bench.distilled(True)


def main() -> None:
    arguments = parse()
    parts = [f"# Learning without labels, measured\n\n{intro(arguments.seconds, TEACHERS)}\n"]
    for name, workspace, truth in arguments.corpus:
        torch.set_num_threads(1)
        case = LadderCorpus.open(name, workspace, truth, "0", "cpu")
        bench = Bench(case, arguments.seconds, arguments.jobs, arguments.confidence)
        parts += [case.heading(), *rows(bench, arguments.arms), ""]
        arguments.out.write_text("\n".join(parts), encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ("NAME", "WORKSPACE", "TRUTH")
    parser.add_argument("--corpus", nargs=3, action="append", required=True, metavar=names)
    parser.add_argument("--seconds", type=float, default=240, help="of a core, for one Boss")
    parser.add_argument("--confidence", type=float, default=0.9, help="of a pseudo-label")
    parser.add_argument("--arms", nargs="*", help="only these, by their names")
    parser.add_argument("--out", type=Path, default=Path("docs/pretraining_measured.md"))
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def rows(bench: Bench, wanted: Sequence[str] | None) -> list[str]:
    """The table: accuracies, and the gain over a plain training in as much time."""
    lines = [
        "| | steps | seen-session | session | unseen | session, gain | unseen, gain | unseen, over "
        "Boss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    results: Results = {}
    for name, baseline, train in arms(bench):
        if wanted and baseline and name not in wanted:
            continue
        runs = train()
        own = [[run for run in runs if run.fold == fold] for fold in SEEDS]
        results[name] = [evaluate(bench.case, each) for each in own]
        cells = [with_spread(hits) for hits in zip(*results[name], strict=True)]
        cells += [gain(results, name, baseline, kind) for kind in (1, 2)]
        cells.append(gain(results, name, ALONE, 2))
        lines.append(f"| {name} | {runs[0].manifest().steps:,} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    main()
