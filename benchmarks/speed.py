"""How fast the parts are on this machine: `make bench`. Prints a table for docs/LOG.md.

The variants at full size, 600 speakers; a step is forward, backward, AdamW and the average.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console

from kaggle_hw4.cli.output import table
from kaggle_hw4.data.batches import Batches
from kaggle_hw4.data.corpus import open_corpus, pack
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import choose_device
from kaggle_hw4.inference.predict import WHOLE, predict_logits
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.training.checkpoint import State
from kaggle_hw4.training.loop import train_step
from kaggle_hw4.training.optimizer import make_optimizer
from kaggle_hw4.workspace import shipped

STEPS = 5
SPEAKERS = 600  # of the head; the frames come from 8 synthetic ones


def main() -> None:
    device = choose_device("auto")
    with TemporaryDirectory() as name:
        case, place = Path(name) / "corpus", Path(name) / "packed"
        rows = [
            ("synth", seconds(lambda: write_corpus(case, speakers=8, frames=595)), "240 files"),
            ("pack", seconds(lambda: pack(case, place)), "the same"),
            ("open and verify", seconds(lambda: open_corpus(place)), "the same"),
        ]
        store = FrameStore(open_corpus(place), device)
        for variant in ("simple", "medium", "strong", "boss", "champion"):
            rows += bench_variant(variant, store)
    title = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    cells = [(part, f"{took:.3f}", what) for part, took, what in rows]
    Console(width=120).print(table(("part", "seconds>", "of what"), cells, title))


def bench_variant(variant: str, store: FrameStore) -> list[tuple[str, float, str]]:
    recipe = read_recipe(shipped(f"pipelines/variants/{variant}.toml"))
    torch.manual_seed(0)
    model = build_model(recipe, SPEAKERS).to(store.device)
    state = State.start(model, make_optimizer(model, recipe.optimizer), store.device)

    sessions = np.zeros(len(store.corpus.train), np.int64)
    batches = Batches(store, store.corpus.train, sessions, recipe, seed=0)

    def steps(count: int) -> None:
        for _ in range(count):
            train_step(state, batches.at(state.step), recipe)
        state.since_report.tolist()  # waits for the device

    steps(1)  # warm
    step = seconds(lambda: steps(STEPS)) / STEPS
    predict = seconds(lambda: predict_logits(model, store, store.corpus.test, WHOLE))
    segments = f"{recipe.segments.batch_size} segments of {recipe.segments.frames} frames"
    size = f"{count_parameters(model):,} parameters"
    return [
        (f"{variant}: a training step", step, f"{segments}, {size}"),
        (f"{variant}: prediction", predict, f"{len(store.corpus.test)} whole utterances"),
    ]


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
