"""`hw4 doctor`: what is there, what will be needed, and what to do about the difference."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kaggle_hw4 import __version__
from kaggle_hw4.errors import Hw4Error
from kaggle_hw4.kaggle.client import INSTALL, SIGN_IN, credentials
from kaggle_hw4.locks import is_locked
from kaggle_hw4.pipeline import Pipeline, read_pipeline
from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    pass

OLDEST_TORCH = (2, 10)  # torch.load with weights_only=True is safe from there on
HEADROOM = 2 * 2**30  # bytes of memory beside the logits: Python, torch, activations


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` says what to do where it is not good."""

    topic: str
    state: Literal["good", "warning", "bad"]
    finding: str
    remedy: str = ""


def examine(workspace: Workspace, pipeline: str) -> list[Check]:
    """Check the software, the machine against what `pipeline` will need, and the workspace."""
    checks = [*_software(), *_corpus(workspace)]
    try:
        checks += _resources(workspace, read_pipeline(workspace, pipeline))
    except Hw4Error as error:
        checks.append(Check("pipeline", "bad", error.what, error.then))
    return [*checks, *_runs(workspace), *_credentials()]


def _software() -> Iterator[Check]:
    import torch

    from kaggle_hw4.device import choose_device
    from kaggle_hw4.precision import fastest_precision

    yield Check("hw4", "good", f"version {__version__}")
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    recent = version >= OLDEST_TORCH
    remedy = "" if recent else "install torch 2.10 or newer: older ones can be made to run code"
    yield Check("torch", "good" if recent else "bad", torch.__version__, remedy)
    device = choose_device("auto")
    precision, threads = fastest_precision(device), torch.get_num_threads()
    where = f"device {device.type}, precision {precision}, threads {threads}"
    slow = device.type == "cpu"
    remedy = (
        "the full recipes are meant for a GPU; on a CPU shrink them as pipelines/demo.toml does"
    )
    yield Check("device", "warning" if slow else "good", where, remedy if slow else "")


def _corpus(workspace: Workspace) -> Iterator[Check]:
    from kaggle_hw4.data.corpus import open_corpus
    from kaggle_hw4.data.folds import read_folds

    try:
        corpus = open_corpus(workspace.corpus)
    except Hw4Error as error:
        missing = not workspace.corpus.is_dir()
        yield Check("corpus", "warning" if missing else "bad", error.what, error.then)
        return
    edition = f"the edition of {corpus.edition.year}" if corpus.edition else "of no edition"
    yield Check("corpus", "good", f"{corpus.hash}, {edition}, as its hashes say")
    tables = sorted(workspace.folds.glob("*.csv"))
    if not tables:
        yield Check("folds", "warning", "no fold table", "run `hw4 split`")
    for path in tables:
        try:
            folds = read_folds(path, corpus)
            yield Check("folds", "good", f"{folds.name}: {folds.count} folds by {folds.by}")
        except Hw4Error as error:
            yield Check("folds", "bad", error.what, error.then)


def _resources(workspace: Workspace, pipeline: Pipeline) -> Iterator[Check]:
    """Memory and disk against what the pipeline's runs and their ensemble will need."""
    needed = needs(workspace, pipeline)
    from kaggle_hw4.device import memory_limit

    yield _enough("memory", memory_limit(), needed.memory, "ensemble fewer members at a time")
    folder = workspace.root if workspace.root.is_dir() else workspace.root.parent
    free = shutil.disk_usage(folder).free
    yield _enough("disk", free, needed.disk, "make room, or use a workspace on another disk")


def _enough(topic: str, available: float, needed: float, remedy: str) -> Check:
    finding = f"{available / 1e9:.1f} GB, the pipeline needs about {needed / 1e9:.1f} GB"
    if needed <= available:
        return Check(topic, "good", finding)
    return Check(topic, "bad", finding, remedy)


@dataclass(frozen=True)
class Needs:
    """Bytes that a pipeline's runs write, and that its ensemble holds in memory."""

    disk: float
    memory: float


def needs(workspace: Workspace, pipeline: Pipeline) -> Needs:
    """Estimated from the edition's sizes, or from the corpus where one is packed."""
    from kaggle_hw4.competition import DEFAULT
    from kaggle_hw4.logits import logits_bytes
    from kaggle_hw4.models.build import parameters_of
    from kaggle_hw4.recipe import read_recipe
    from kaggle_hw4.training.measure import bytes_of_run, rank_of

    speakers, train, test = DEFAULT.speakers, DEFAULT.training_utterances, DEFAULT.test_utterances
    if workspace.corpus.is_dir():
        from kaggle_hw4.data.corpus import open_corpus

        corpus = open_corpus(workspace.corpus)
        speakers, train, test = len(corpus.speakers), len(corpus.train), len(corpus.test)
    disk, members, rank, folds = 0.0, 0, 0, pipeline.split.folds
    for section in pipeline.train:
        recipe = read_recipe(workspace.variant(section.variant), section.settings)
        chosen = folds if section.folds == "all" else len(section.folds)
        runs, members = chosen * len(section.seeds), members + len(section.seeds)
        rows = 1.1 * train / folds + test
        disk += runs * bytes_of_run(recipe, parameters_of(recipe, speakers), speakers, rows)
        rank = max(rank, rank_of(recipe))
    return Needs(disk, HEADROOM + (members + 1) * logits_bytes(train, speakers, rank))


def _runs(workspace: Workspace) -> Iterator[Check]:
    from kaggle_hw4.runs import find_runs

    runs = find_runs(workspace.run_folders)
    unfinished = [run for run in runs if not run.done]
    yield Check("runs", "good", f"{len(runs) - len(unfinished)} finished")
    for run in unfinished:
        if is_locked(run.lock):
            yield Check("runs", "good", f"{run.name} is being trained")
        else:
            remedy = "the command that began it resumes it"
            yield Check("runs", "warning", f"{run.name} is unfinished", remedy)


def _credentials() -> Iterator[Check]:
    if find_spec("kaggle") is None:
        yield Check("kaggle", "warning", "the Kaggle client is not installed", INSTALL)
        return
    places = credentials()
    if not places:
        yield Check("kaggle", "warning", "no credentials", SIGN_IN)
    for place in places:
        if isinstance(place, Path) and place.stat().st_mode & 0o077:
            finding = f"{place} can be read by other users"
            yield Check("kaggle", "warning", finding, f"chmod 600 {place}")
        else:
            yield Check("kaggle", "good", f"credentials in {place}")
