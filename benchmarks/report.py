"""How long `hw4 report` takes, and how large its page is, at the size of the competition.

    python benchmarks/report.py [FOLDER] [--speakers 600] [--utterances 56666]

Writes a corpus of random frames, whose channels are clustered by session, and the logits of two
recipes on five folds; then the report. The models are Strong and Boss as they are, not trained.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kaggle_hw4.artifact import provenance, sha256_file, write_text
from kaggle_hw4.data.channel import CHANNELS, ChannelStatistics, write_channels
from kaggle_hw4.data.corpus import Corpus, open_corpus
from kaggle_hw4.data.folds import Folds, assign_folds, assign_holdout_groups, write_folds
from kaggle_hw4.data.levels import Levels
from kaggle_hw4.data.manifest import FRAMES, TABLE, CorpusManifest, corpus_hash, write_manifest
from kaggle_hw4.inference.weights import weights_bytes
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import build_model, count_parameters
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.report.write import write_report
from kaggle_hw4.run_manifest import Device, FoldTable, Manifest, Prediction
from kaggle_hw4.runs import Logits, Run
from kaggle_hw4.stages.ensemble import ensemble
from kaggle_hw4.workspace import Workspace, shipped

N_MELS, FRAMES_EACH, FOLDS = 40, 300, 5
CPU = Device(device="cpu", precision="float32", threads=1)


def write_corpus(folder: Path, speakers: int, n: int, n_test: int) -> Corpus:
    """Random frames of utterances whose channels are those of ten sessions a speaker."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    labels = np.concatenate([np.arange(n) % speakers, np.full(n_test, -1)])
    lengths = random.integers(FRAMES_EACH // 2, 3 * FRAMES_EACH // 2, n + n_test)
    noise = random.normal(0, 2, (100_000, N_MELS)).astype(np.float16)
    with (folder / FRAMES).open("wb") as file:
        for length, start in zip(lengths, random.integers(0, 90_000, len(lengths)), strict=True):
            file.write(noise[start : start + length].tobytes())
    ids = [f"uttr-{i:032x}.pt" for i in range(n + n_test)]
    rows = [f"{a},{b},{c}" for a, b, c in zip(ids, labels, lengths, strict=True)]
    table = write_text(folder / TABLE, "\n".join(["id,label,frames", *rows]) + "\n")
    session = np.where(labels >= 0, labels * 10 + np.arange(len(labels)) // speakers % 10, -1)
    session[labels < 0] = session.max() + 1 + np.arange(n_test) // 6
    rooms = random.normal(0, 1, (int(session.max()) + 1, 2 * N_MELS))
    descriptor = rooms[session] + random.normal(0, 0.5, (len(labels), 2 * N_MELS))
    bands = descriptor[:, :N_MELS]
    arrays = [np.asarray(each, np.float32) for each in (bands, abs(bands), bands, descriptor)]
    names = [f"id{k:05}" for k in range(speakers)]
    sha256 = {FRAMES: sha256_file(folder / FRAMES), TABLE: table}
    sha256[CHANNELS] = write_channels(folder, ChannelStatistics(*arrays))
    manifest = CorpusManifest(
        format=2,
        hash=corpus_hash(sha256, names),
        dtype="float16",
        n_mels=N_MELS,
        edition=None,
        speakers=names,
        sha256=sha256,
        statistics=Levels(min=-8, max=8, mean=0, deviation=2, touching_the_floor=0),
        sources={},
        made_by=provenance(),
    )
    write_manifest(folder, manifest)
    return open_corpus(folder)


def fold_table(corpus: Corpus) -> Folds:
    """Folds by the sessions that the corpus was made with."""
    n, speakers = len(corpus.train), len(corpus.speakers)
    labels = corpus.labels[corpus.train]
    session = labels * 10 + np.arange(n) // speakers % 10
    fold = assign_folds(labels, session, FOLDS, 0)
    holdout, purged = assign_holdout_groups(labels, fold, 0), np.zeros((n, FOLDS), bool)
    return Folds("session5", "session", FOLDS, 0, corpus.hash, fold, session, holdout, purged)


def write_run(root: Path, variant: str, corpus: Corpus, folds: Folds, fold: int) -> None:
    """A run whose logits are right two times in three."""
    recipe = read_recipe(shipped(f"pipelines/variants/{variant}.toml"))
    run = Run.of(root / "runs", variant, recipe, [corpus.hash, folds.hash], fold, 0)
    run.folder.mkdir(parents=True)
    run.write_recipe(recipe)
    model = build_model(recipe, len(corpus.speakers), N_MELS)
    weights = run.folder / f"{recipe.predict.weights}.safetensors"
    weights.write_bytes(weights_bytes(model))
    random = np.random.default_rng([fold, len(variant)])
    sha256, scores = {weights.name: sha256_file(weights)}, {}
    sets = {"oof": folds.validation(fold), "seen_session": folds.seen_session(fold)}
    for name, rows in (sets | {"test": corpus.test}).items():
        values = random.normal(0, 1, (len(rows), len(corpus.speakers))).astype(np.float32)
        labels = np.maximum(corpus.labels[rows], 0)
        values[np.arange(len(rows)), labels] += random.normal(4, 2, len(rows))
        ids = tuple(corpus.ids[row] for row in rows)
        sha256[f"{name}.safetensors"] = run.write_logits(name, Logits(ids, values))
        scores[name] = evaluate(values, labels)
    for step in range(25, 5000, 25):
        figures = {"step": step, "accuracy": step / 5000, "loss": 1.0, "seconds": step}
        run.log(figures | ({"validation_accuracy": step / 8000} if step % 500 == 0 else {}))
    manifest = Manifest(
        variant=variant,
        fold=fold,
        seed=0,
        recipe=recipe.hash,
        corpus=corpus.hash,
        folds=FoldTable(name=folds.name, by=folds.by, count=FOLDS, hash=folds.hash),
        parameters=count_parameters(model),
        steps=recipe.schedule.steps,
        seconds=5000.0,
        best_while_training=0.5,
        memory=10**8,
        training=CPU,
        prediction=Prediction(config=recipe.predict, device=CPU),
        validation=scores["oof"],
        seen_session=scores["seen_session"],
        sha256=sha256,
        made_by=provenance(),
    )
    run.write_manifest(manifest)


def write_workspace(root: Path, speakers: int, utterances: int) -> None:
    """Everything but a study and scores."""
    corpus = write_corpus(root / "packed", speakers, utterances, round(utterances * 8000 / 56_666))
    folds = fold_table(corpus)
    write_folds(root / "folds", folds, corpus)
    for variant in ("strong", "boss"):
        for fold in range(FOLDS):
            write_run(root, variant, corpus, folds, fold)
    ensemble(Workspace(root), [root / "runs"])


@dataclass(frozen=True)
class ReportCost:
    seconds: float
    cpu_seconds: float
    bytes: int
    path: Path


def measure(root: Path) -> ReportCost:
    start, cpu = time.monotonic(), time.process_time()
    written = write_report(Workspace(root))
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    return ReportCost(seconds, cpu, written.bytes, written.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/report"))
    parser.add_argument("--speakers", type=int, default=600)
    parser.add_argument("--utterances", type=int, default=56_666)
    options = parser.parse_args()
    root = options.folder.resolve()
    if not root.exists():
        write_workspace(root, options.speakers, options.utterances)
    cost = measure(root)
    print(
        f"{options.utterances:,} utterances of {options.speakers} speakers: {cost.seconds:.1f} s, "
        f"{cost.cpu_seconds:.1f} s of CPU, {torch.get_num_threads()} threads, "
        f"{cost.bytes / 1e6:.2f} MB, {cost.path}"
    )


if __name__ == "__main__":
    main()
