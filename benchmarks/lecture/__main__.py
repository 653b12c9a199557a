"""Measure the claims of the lecture notes, and write them into docs/lecture.md: `make lecture`.

    python -m benchmarks.lecture [CLAIM …] [--corpus NAME WORKSPACE TRUTH] [--steps N]

Without `--corpus`, synthetic speakers are made in build/lecture. A workspace that is named is
packed from its folder `corpus` and split by session, if it is not. Small models are trained from
three seeds each, one thread, float32; finished ones are not trained again, so a repeated command
only measures. Everything but times is a function of the corpus, the steps and the seeds.
"""

import argparse
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.lecture import (
    attention,
    conformer,
    direction,
    graphs,
    margin,
    page,
    pooling,
    recurrent,
    representation,
    sets,
)
from benchmarks.lecture.claims import Claim
from benchmarks.lecture.lab import BATCH, FRAMES, Lab, say
from benchmarks.lecture.pictures import save
from kaggle_hw4.data.corpus import pack
from kaggle_hw4.progress import no_bar
from kaggle_hw4.stages.split import split
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.workspace import Workspace

DOCS = Path(__file__).parents[2] / "docs"
FOLDS = 3
SPEAKERS, LENGTH, STEPS = 40, 200, 200  # of the synthetic corpus; of a training on it
Measure = Callable[[Lab], "Claim | tuple[Claim, str]"]

# By the key that the claim has in docs/lecture.md.
CLAIMS: dict[str, Measure] = {
    "padding": sets.padding,
    "context": sets.context,
    "window": sets.window_is_not_enough,
    "matrices": attention.formulas,
    "order": attention.order,
    "direction": direction.direction,
    "positions": attention.positions_help,
    "truncation": attention.truncation,
    "heads": attention.heads,
    "forgetting": recurrent.forgetting,
    "gates": recurrent.gates,
    "spectral": graphs.spectral,
    "smoothing": graphs.smoothing,
    "residual": graphs.residual,
    "bottleneck": representation.bottleneck,
    "counts": representation.counts,
    "local": conformer.sensitivity,
    "conformer": conformer.better,
    "dilution": pooling.dilution,
    "attended": pooling.attended,
    "margin": margin.margin,
    "robust": margin.robust,
    "depth": graphs.depth,  # the slowest
}


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    torch.set_num_threads(1)
    lab = prepare(arguments)
    for key in arguments.claims or CLAIMS:
        began = time.monotonic()
        result = CLAIMS[key](lab)
        claim, svg = result if isinstance(result, tuple) else (result, "")
        if svg and arguments.pictures:
            save(arguments.docs / "lecture", claim.picture, svg)
        measured = page.Measured(
            lab.name, command(arguments), description(lab), arguments.pictures, (claim,)
        )
        measured.save(arguments.docs / "lecture")
        page.fill(arguments.docs / "lecture.md", arguments.docs / "lecture")
        words = {True: "confirmed", False: "not confirmed", None: "measured"}
        say(f"{key}: {words[claim.holds]} ({time.monotonic() - began:.0f} s)")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="all, if none is named")
    parser.add_argument("--corpus", nargs=3, metavar=("NAME", "WORKSPACE", "TRUTH"))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--speakers", type=int, default=SPEAKERS, help="of the synthetic corpus")
    parser.add_argument("--build", type=Path, default=Path("build/lecture"))
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--no-pictures", dest="pictures", action="store_false")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.claims) - set(CLAIMS):
        parser.error(f"no such claim: {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    return arguments


def prepare(arguments: argparse.Namespace) -> Lab:
    """The corpus that is named, packed and split by session, or synthetic speakers."""
    if arguments.corpus:
        name, workspace, truth = arguments.corpus
        place = Workspace.at(Path(workspace))
        if not place.corpus.exists():
            pack(place.root / "corpus", place.corpus)
    else:
        name, place = "synthetic", Workspace.at(arguments.build / f"synthetic{arguments.speakers}")
        truth = place.root / "corpus" / "truth.csv"
        write_corpus(place.root / "corpus", speakers=arguments.speakers, frames=LENGTH)
        pack(place.root / "corpus", place.corpus)
    if not any(place.folds.glob("*.csv")):
        split(place, "session", FOLDS, 0, no_bar)
    return Lab(name, place, Path(truth), arguments.steps, tuple(range(arguments.seeds)))


def command(arguments: argparse.Namespace) -> str:
    """How to measure all of it again."""
    words = ["python", "-m", "benchmarks.lecture"]
    if arguments.corpus:
        words += ["--corpus", *arguments.corpus]
    if arguments.steps != STEPS:
        words += ["--steps", str(arguments.steps)]
    return "make lecture" if len(words) == 3 else shlex.join(words)


def description(lab: Lab) -> str:
    corpus = lab.corpus
    return (
        f"{len(corpus.speakers)} speakers, {len(corpus.train):,} training utterances, "
        f"{len(corpus.test):,} test utterances of unseen sessions; {lab.steps} steps of {BATCH} "
        f"segments of {FRAMES} frames, {len(lab.seeds)} seeds."
    )


if __name__ == "__main__":
    main()
