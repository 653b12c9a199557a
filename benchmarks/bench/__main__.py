"""Measure what hw4 costs on this machine, and write docs/performance.md and .json: `make bench`.

python -m benchmarks.bench [--parts steps,sample,…] [--quick] [--device cuda] [--out FOLDER]
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.bench.files import OfficialFolder, write_official
from benchmarks.bench.machine import ROOT, describe
from benchmarks.bench.page import Report
from benchmarks.bench.part_blocks import measure_blocks
from benchmarks.bench.part_corpus import measure_corpus
from benchmarks.bench.part_curves import measure_curves
from benchmarks.bench.part_sample import measure_inference, measure_loop
from benchmarks.bench.part_steps import measure_steps
from benchmarks.bench.plan import Plan, precisions, quick
from benchmarks.bench.results import Part

DEFAULT_PARTS = ["steps", "sample", "averaging", "blocks", "corpus", "curves"]
CARD_PARTS = ["steps", "sample", "averaging"]  # the others measure the CPU
ROOM = 15e9  # bytes: the files of a corpus, packed, and the file that measures the disk


class Bench:
    """The parts, in the order of the page, and what they share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.corpus: Part | None = None
        self.parts: dict[str, Callable[[], list[Part]]] = {
            "steps": lambda: measure_steps(plan),
            "sample": lambda: [measure_loop(plan, self.dataset)],
            "averaging": lambda: [measure_inference(plan, self.dataset, whole=False)],
            "whole": lambda: [measure_inference(plan, self.dataset, whole=True)],
            "blocks": lambda: [measure_blocks(plan)],
            "corpus": self.measure_corpus,
            "curves": lambda: [measure_curves(plan, self.dataset, self.corpus)],
        }

    @cached_property
    def dataset(self) -> OfficialFolder:
        """As many files as the competition has, written when they are first needed."""
        say(f"writing {self.plan.utterances:,} files")
        return write_official(self.plan.files / "dataset", self.plan.utterances, self.plan.speakers)

    def measure_corpus(self) -> list[Part]:
        self.corpus = measure_corpus(self.plan, self.dataset)
        return [self.corpus]

    def run(self, names: Sequence[str]) -> list[Part]:
        """Measure the parts, and print their ratios."""
        measured: list[Part] = []
        for name in names:
            start = time.monotonic()
            parts = self.parts[name]()
            say(f"{name}: {time.monotonic() - start:.0f} s")
            for ratio in (ratio for part in parts for ratio in part.ratios):
                target = f"(target {ratio.target})" if ratio.target else ""
                say(f"  {ratio.name}: {ratio.median:.3g} {target}".rstrip())
            measured += parts
        return measured


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    options = parse(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here")
        return
    torch.set_num_threads(1)
    plan = plan_of(options)
    machine, start = describe(options.device), time.monotonic()
    with TemporaryDirectory(prefix="files-", dir=plan.build) as files:
        parts = Bench(replace(plan, files=Path(files))).run(options.parts)
        command = " ".join(["python -m benchmarks.bench", *arguments])
        report = Report(machine, command, time.monotonic() - start, parts)
        name = "performance" if options.device == "cpu" else "performance-gpu"
        say(str(report.write(options.out, name)))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument(
        "--parts", type=lambda text: text.split(","), help=f"of {','.join(DEFAULT_PARTS)},whole"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work?")
    parser.add_argument("--precisions", help="of float32,bf16,fp16; else those that pay")
    parser.add_argument("--utterances", type=int, help="fewer than the competition's, to try it")
    parser.add_argument("--rounds", type=int, help="turns of everything that is measured in turn")
    parser.add_argument(
        "--patience", type=float, help="seconds after which packing is repeated no more (2 turns)"
    )
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--out", type=Path, help="folder of the page; docs/ for a whole run")
    options = parser.parse_args(arguments)
    whole = not (options.parts or options.quick or options.utterances or options.rounds)
    options.out = options.out or (ROOT / "docs" if whole else options.build)
    options.parts = options.parts or (CARD_PARTS if options.device == "cuda" else DEFAULT_PARTS)
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    build = options.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    plan = quick(build) if options.quick else Plan(build)
    given = options.precisions.split(",") if options.precisions else precisions(options.device)
    if not options.quick and shutil.disk_usage(build).free < ROOM:
        sys.exit(f"{build} has no room for {ROOM / 1e9:.0f} GB")
    return replace(
        plan,
        device=options.device,
        min_seconds=plan.min_seconds / (2 if options.device == "cuda" else 1),  # of short steps
        precisions=tuple(given),
        utterances=options.utterances or plan.utterances,
        rounds=options.rounds or plan.rounds,
        patience=options.patience or plan.patience,
    )


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
