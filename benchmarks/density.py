"""Session validation against unseen sessions where the test set is thinner: `make density`.

Synthetic corpora whose test sets have 2, 4 and 10 utterances of a session, and whose training
sessions have 10. A shrunk Boss, five seeds, each of which holds out another session fold of 5.
Session validation is scored with label spreading over subsets as dense as the test set (as runs
do), over whole folds (as before 0.3.0), and without label spreading; truth.csv scores the test set
after the training. Balanced accuracies in percent, mean ± standard deviation over the seeds.
"""

import argparse
from pathlib import Path

import numpy as np
from averaging import test_labels
from ladder import shrunk

from kaggle_hw4.data.corpus import pack
from kaggle_hw4.data.folds import find_folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import choose_device
from kaggle_hw4.execution.executor import run_all
from kaggle_hw4.execution.local import Subprocesses
from kaggle_hw4.execution.spec import RunSpec
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.metrics import accuracy
from kaggle_hw4.models.build import build_model
from kaggle_hw4.progress import no_bar
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.stages.split import split
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.workspace import Workspace

TEST_SESSIONS = {2: 10, 4: 8, 10: 4}  # of a speaker, by the utterances of each
SEEDS = (0, 1, 2, 3, 4)
SIZES = {"sessions": 6, "utterances": 10, "frames": 200}
COLUMNS = ("thinned", "whole fold", "unseen", "alone", "unseen alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/density"))
    parser.add_argument("--speakers", type=int, default=60)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    places = {d: prepare(arguments.folder / str(d), d, arguments.speakers) for d in TEST_SESSIONS}
    settings = tuple(shrunk(read_recipe(places[2].variant("boss")), arguments.steps))
    specs = {
        (d, seed): RunSpec(str(place.root), "boss", settings, "session5", seed, seed)
        for d, place in places.items()
        for seed in SEEDS
    }
    outcomes = run_all(Subprocesses(arguments.jobs, threads=1), list(specs.values()))
    print("test density | share | " + " | ".join(COLUMNS) + " | thinned - unseen | alone - unseen")
    for d, place in places.items():
        folders = [outcomes[specs[d, seed]].run.folder for seed in SEEDS]
        report(d, place, [Run(folder) for folder in folders])


def prepare(folder: Path, test_density: int, speakers: int) -> Workspace:
    """The corpus of that test density, packed and split."""
    place = Workspace.at(folder)
    if not (folder / "corpus").exists():
        write_corpus(
            folder / "corpus",
            **SIZES,
            speakers=speakers,
            test_sessions=TEST_SESSIONS[test_density],
            test_utterances=test_density,
            seed=test_density,
        )
    pack(folder / "corpus", place.corpus)
    split(place, "auto", 5, 0, no_bar)
    return place


def report(test_density: int, place: Workspace, runs: list[Run]) -> None:
    """One line: the accuracies of a corpus, and the differences."""
    corpus = pack(place.root / "corpus", place.corpus)
    folds = find_folds(place.folds, corpus, "session5")
    truth = test_labels(corpus, place.root / "corpus" / "truth.csv")
    store = FrameStore(corpus, choose_device("auto"))
    rows = []
    for run in runs:
        recipe, held_out = run.recipe(), folds.validation(run.fold)
        model = build_model(recipe, len(corpus.speakers), corpus.n_mels)
        read_weights(run.folder / f"{recipe.predict.weights}.safetensors", model)
        model.to(store.device)
        spread = recipe.predict.settled(folds.by)
        alone = spread.model_copy(update={"spreading_neighbours": 0})
        cases = (
            (held_out, spread, folds.subsets(run.fold)),
            (held_out, spread, None),
            (corpus.test, spread, None),
            (held_out, alone, None),
            (corpus.test, alone, None),
        )
        labels = np.concatenate([corpus.labels[corpus.train], truth])
        rows.append([])
        for which, plan, subsets in cases:
            correct = predict_logits(model, store, which, plan, subsets).argmax(1) == labels[which]
            rows[-1].append(100 * accuracy(correct, labels[which]).accuracy)
    values = np.array(rows)
    cells = [
        f"{m:.1f} ± {s:.1f}" for m, s in zip(values.mean(0), values.std(0, ddof=1), strict=True)
    ]
    spread, single = values[:, 0] - values[:, 2], values[:, 3] - values[:, 4]
    cells += [f"{d.mean():+.1f} ± {d.std(ddof=1):.1f}" for d in (spread, single)]
    print(f"{test_density} | {folds.share:.2f} | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
