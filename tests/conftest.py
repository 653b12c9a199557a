"""A tiny synthetic corpus and tiny recipes: real parts of everything, in seconds."""

import csv
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from kaggle_hw4.data.corpus import Corpus, pack
from kaggle_hw4.data.folds import Folds, make_folds
from kaggle_hw4.inference.embed import WHOLE
from kaggle_hw4.metrics import Evaluation
from kaggle_hw4.progress import Progress, no_bar
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.run_manifest import Device, FoldTable, Manifest, Prediction
from kaggle_hw4.runs import Run
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.training.loop import train_run
from kaggle_hw4.workspace import shipped
from tests.kaggle_board import board

__all__ = ["board"]

# Also in the processes that tests start: the bits must not depend on how fast a machine is in bf16.
os.environ["HW4_PRECISION"] = "float32"
VARIANTS = ("simple", "medium", "strong", "boss", "champion")
NARROW = (
    "networks.count=1",
    "predict.self_training=false",
    "predict.spreading_neighbours=0",
    "networks.d_model=16",
    "networks.n_layers=1",
    "networks.d_embedding=16",
    "segments.frames=24",
    "segments.batch_size=4",
    "schedule.steps=4",
    "schedule.warmup_steps=1",
    "schedule.validate_every=2",
)
TINY = (*NARROW, "networks.n_heads=2", "networks.d_ffn=16")  # where there is attention
SHAPES = {
    "zoo/two_kinds": (
        *NARROW,
        "networks.0.groups=2",
        "networks.1.n_heads=2",
        "networks.1.d_ffn=16",
    ),
    "zoo/ecapa": (*NARROW, "networks.groups=2"),
    **{
        f"zoo/{name}": NARROW for name in ("mlp", "elman", "jordan", "lstm", "bilstm", "gru", "gcn")
    },
    "zoo/gat": (*NARROW, "networks.n_heads=2"),
}
ZOO = tuple(  # the recipes of other encoders than those of VARIANTS
    f"zoo/{name}"
    for name in ("mlp", "elman", "jordan", "lstm", "bilstm", "gru", "truncated", "gat", "gcn")
)
HOME = {  # a variant with each encoder; the others are in Boss
    "transformer": "medium",
    "ecapa": "zoo/ecapa",
    "mlp": "zoo/mlp",
    "rnn": "zoo/elman",
    "lstm": "zoo/bilstm",
    "gru": "zoo/gru",
    "graph": "zoo/gat",
}


def tiny(variant: str, *settings: str) -> Recipe:
    path = shipped(f"pipelines/variants/{variant}.toml")
    return read_recipe(path, [*SHAPES.get(variant, TINY), *settings])


def tiny_of(encoder: str, *settings: str) -> Recipe:
    """A tiny recipe of one network with that encoder, out of the variants that are shipped."""
    sections = tiny(HOME.get(encoder, "boss"), *settings).sections()
    networks = [config for config in sections["networks"] if config["encoder"] == encoder]
    return Recipe.model_validate(sections | {"networks": networks})


class Silent:
    """A monitor that only remembers."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, dict[str, float]]] = []

    def begin(self, name: str, done: int, total: int) -> None:
        self.done = done

    def advance(self, step: int) -> None:
        self.last = step

    def replan(self, total: int) -> None:
        self.total = total

    def report(self, step: int, figures: dict[str, float]) -> None:
        self.reports.append((step, figures))

    def note(self, text: str) -> None:
        self.notes = text

    def bar(self, name: str) -> Progress:
        return no_bar(name)

    def end(self, accuracy: float, seconds: float) -> None:
        self.accuracy = accuracy


class Job(NamedTuple):
    """What `train` is called with, before the device."""

    run: Run
    recipe: Recipe
    corpus: Corpus
    folds: Folds


def job(recipe: Recipe, corpus: Corpus, folds: Folds, runs: Path, **which: Any) -> Job:
    fold, seed, variant = which.get("fold", 0), which.get("seed", 0), which.get("variant", "boss")
    run = Run.of(runs, variant, recipe, [corpus.hash, folds.hash], fold, seed)
    return Job(run, recipe, corpus, folds)


def trained(recipe: Recipe, corpus: Corpus, folds: Folds, runs: Path, **which: Any) -> Run:
    """The finished run of a recipe."""
    parts = job(recipe, corpus, folds, runs, **which)
    train_run(*parts, torch.device("cpu"), Silent())
    return parts.run


def chosen(corpus: Corpus, train: np.ndarray, test: np.ndarray) -> Corpus:
    """The corpus of these rows of `corpus`: for training, and for the test."""
    rows = np.concatenate([train, test])
    labels = np.where(np.arange(len(rows)) < len(train), corpus.labels[rows], -1)
    return dataclasses.replace(
        corpus,
        ids=tuple(corpus.ids[row] for row in rows),
        labels=labels,
        offsets=corpus.offsets[rows],
        lengths=corpus.lengths[rows],
        channels=corpus.channels[rows],
    )


def manifest_of(sha256: dict[str, str]) -> Manifest:
    """The manifest of a run that was never trained."""
    cpu = Device(device="cpu", precision="float32", threads=1)
    return Manifest(
        variant="boss",
        fold=0,
        seed=0,
        recipe="r",
        corpus="c",
        folds=FoldTable(name="session2", by="session", count=2, hash="f"),
        parameters=1,
        steps=4,
        seconds=1.0,
        best_while_training=0.5,
        memory=10**8,
        training=cpu,
        prediction=Prediction(config=WHOLE, device=cpu),
        validation=Evaluation(0.5, 1.0, 2),
        sha256=sha256,
        made_by={},
    )


def imports(arguments: Sequence[str], packages: set[str]) -> str:
    """The list, as printed, of those `packages` that `hw4` with these arguments imports."""
    code = (
        "import sys\nfrom kaggle_hw4.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        f"print(sorted({packages!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def column(path: Path, name: str) -> dict[str, str]:
    """A column of a table of utterances, by their ids."""
    with path.open(newline="") as file:
        return {row["Id"]: row[name] for row in csv.DictReader(file)}


def agreement(corpus: Corpus, guessed: np.ndarray, synthetic: Path) -> float:
    """The adjusted Rand index of guessed and true sessions, the mean over speakers."""
    from sklearn.metrics import adjusted_rand_score  # two seconds, which few tests need

    session = column(synthetic / "sessions.csv", "Session")
    true = np.array([session[corpus.ids[row]] for row in corpus.train])
    own = [corpus.labels[corpus.train] == s for s in range(len(corpus.speakers))]
    return float(np.mean([adjusted_rand_score(true[s], guessed[s]) for s in own]))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # tiny tensors: a second thread only costs


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 speakers, each 3 sessions of 3 utterances, and 2 test utterances in a fourth session."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    sizes = {"sessions": 3, "utterances": 3, "test_sessions": 1, "test_utterances": 2}
    write_corpus(folder, speakers=4, frames=120, **sizes)
    return folder


@pytest.fixture
def dataset(synthetic: Path, tmp_path: Path) -> Path:
    """A copy of the corpus that a test may spoil."""
    return Path(shutil.copytree(synthetic / "Dataset", tmp_path / "Dataset"))


@pytest.fixture(scope="session")
def corpus(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return pack(synthetic, tmp_path_factory.mktemp("workspace") / "packed")


@pytest.fixture(scope="session")
def folds(corpus: Corpus) -> Folds:
    return make_folds(corpus, "session", 2)
