"""The logits that a run leaves behind: of its validation fold (OOF) and of the test set."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch

from kaggle_hw4.artifact import discard_pending, verify
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore, IntArray
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference.predict import Predictor, predict_alone
from kaggle_hw4.inference.refine import Statistics, refine
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.logits import AnyLogits, Logits
from kaggle_hw4.metrics import Evaluation, evaluate
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.ranks import ALONE, Ranks
from kaggle_hw4.recipe import PredictionConfig
from kaggle_hw4.run_manifest import Device, FusionWeights, Manifest, Prediction
from kaggle_hw4.runs import Run

MODELS = 8  # models in memory at a time: with more of them, a batch's gathering is saved already


@dataclass(frozen=True)
class Task:
    """A run to predict, as `config` says."""

    run: Run
    folds: Folds
    config: PredictionConfig

    @property
    def plan(self) -> tuple[int, tuple[int, ...]]:
        """What the segments of a row follow from."""
        return self.config.segments, tuple(self.config.frames)

    def sets(self, corpus: Corpus) -> dict[str, IntArray]:
        """The rows of each set that has any."""
        sets = {
            "oof": self.folds.validation(self.run.fold),
            "seen_session": self.folds.seen_session(self.run.fold),
            "test": corpus.test,
        }
        return {name: rows for name, rows in sets.items() if len(rows)}

    def labelled(self, corpus: Corpus, name: str) -> IntArray:
        """The rows whose labels may be known where the set called `name` is predicted: all but its
        own, and none of the sessions that a validation holds out.
        """
        if name == "test":
            return corpus.train
        training = self.folds.training(self.run.fold)
        if name == "oof":
            return np.concatenate([training, self.folds.seen_session(self.run.fold)])
        return training

    def predictor(self, model: SpeakerClassifier, name: str) -> Predictor:
        """How `model` predicts the set called `name`."""
        # Sessions of a fold may hold more utterances than those of the test set.
        subsets = self.folds.subsets(self.run.fold) if name == "oof" else None
        return Predictor(model, self.config.settled(self.folds.by), subsets)

    def check(self, corpus: Corpus) -> None:
        """Raise DataError unless the run is of this recipe, corpus and fold table, and its weights
        are those that it was finished with.
        """
        run, manifest = self.run, self.run.manifest()
        for what, then, now in (
            ("recipe", manifest.recipe, run.recipe().hash),
            ("corpus", manifest.corpus, corpus.hash),
            ("fold table", manifest.folds.hash, self.folds.hash),
        ):
            if then != now:
                raise DataError(f"{run.name} was trained on {what} {then}, not on {now}")
        weights = run.folder / f"{self.config.weights}.safetensors"
        verify(weights, manifest.sha256.get(weights.name, ""), run.remedy)

    def load_model(self, corpus: Corpus, precision: str) -> SpeakerClassifier:
        """The trained model, on the CPU."""
        model = build_model(self.run.recipe(), len(corpus.speakers), corpus.n_mels)
        model.precision = precision
        read_weights(self.run.folder / f"{self.config.weights}.safetensors", model)
        return model


@dataclass(frozen=True)
class Predicted:
    """The logits (n, C) of each set of a task; the weights where they are those of a fusion."""

    logits: dict[str, AnyLogits]
    fusion: FusionWeights | None


@dataclass(frozen=True)
class Written:
    """What a manifest says of the logits beside it."""

    prediction: Prediction
    fusion: FusionWeights | None
    validation: Evaluation
    seen_session: Evaluation | None
    sha256: dict[str, str]


def predict_runs(
    tasks: Sequence[Task], store: FrameStore, precision: str, bar: Bar = no_bar
) -> list[Manifest]:
    """Predict finished runs anew, up to MODELS of them in one pass over the rows that they share;
    each one's logits and manifest are replaced, atomically and one run after the other.

    Raises DataError, before anything is computed, where one of them cannot be predicted.
    """
    for task in tasks:
        task.check(store.corpus)
    # Runs that share segments and rows follow one another.
    order = sorted(tasks, key=lambda task: (task.plan, task.folds.name, task.run.fold))
    for start in range(0, len(order), MODELS):
        replace_predictions(order[start : start + MODELS], store, precision, bar)
    return [task.run.manifest() for task in tasks]


def replace_predictions(
    tasks: Sequence[Task], store: FrameStore, precision: str, bar: Bar = no_bar
) -> None:
    """Predict tasks that were checked, all of them in memory, and then replace what they have."""
    models = [task.load_model(store.corpus, precision).to(store.device) for task in tasks]
    for task, predicted in zip(tasks, predict_sets(tasks, models, store, bar), strict=True):
        try:
            written, manifest = write_logits(task, predicted, store, precision), task.run.manifest()
            update = vars(written) | {"sha256": manifest.sha256 | written.sha256}
            task.run.write_manifest(manifest.model_copy(update=update))
        except BaseException:
            with suppress(OSError, DataError):  # the first error counts
                discard_pending(task.run.folder, task.run.manifest().sha256)
            raise


def write_predictions(
    run: Run,
    model: SpeakerClassifier,
    store: FrameStore,
    folds: Folds,
    config: PredictionConfig,
    bar: Bar = no_bar,
    ranks: Ranks = ALONE,
) -> Written | None:
    """Write the OOF, the seen-session and the test logits of `run`; the first rank does, and the
    others return None.
    """
    if not ranks.is_first:  # its logits alone are fused and spread
        without = {"statistics": False, "self_training": False, "spreading_neighbours": 0}
        config = config.model_copy(update=without)
    task = Task(run, folds, config)
    [predicted] = predict_sets([task], [model], store, bar, ranks)
    return write_logits(task, predicted, store, model.precision) if ranks.is_first else None


def predict_sets(
    tasks: Sequence[Task],
    models: Sequence[SpeakerClassifier],
    store: FrameStore,
    bar: Bar = no_bar,
    ranks: Ranks = ALONE,
) -> list[Predicted]:
    """What each task's sets are predicted to be, by the model beside it."""
    sets = [task.sets(store.corpus) for task in tasks]
    # A pass for all tasks that cut the same rows into the same segments.
    passes = defaultdict(list)
    for i, task in enumerate(tasks):
        for name, rows in sets[i].items():
            passes[name, rows.tobytes(), task.plan].append(i)
    logits: list[dict[str, AnyLogits]] = [{} for _ in tasks]
    weights: list[FusionWeights | None] = [None] * len(tasks)
    statistics = Statistics(store, bar)
    # First the validation sets, whose weights all others are fused with.
    for (name, *_), sharing in sorted(passes.items(), key=lambda each: each[0][0] != "oof"):
        rows = sets[sharing[0]][name]
        predictors = [tasks[i].predictor(models[i], name) for i in sharing]
        predicted = predict_alone(predictors, store, rows, bar, ranks)
        for i, predictor, alone in zip(sharing, predictors, predicted, strict=True):
            labelled = tasks[i].labelled(store.corpus, name)
            logits[i][name], weights[i] = refine(
                predictor, alone, statistics, rows, labelled, weights[i]
            )
    return [Predicted(*each) for each in zip(logits, weights, strict=True)]


def write_logits(task: Task, predicted: Predicted, store: FrameStore, precision: str) -> Written:
    """Write the logits of a task's sets, and evaluate them."""
    corpus, logits, sha256, evaluations = store.corpus, predicted.logits, {}, {}
    for name, rows in task.sets(corpus).items():
        ids = tuple(corpus.ids[row] for row in rows)
        sha256[f"{name}.safetensors"] = task.run.write_logits(name, Logits(ids, logits[name]))
        evaluations[name] = evaluate(logits[name], corpus.labels[rows])
    prediction = Prediction(config=task.config, device=device_of(store.device, precision))
    evaluated = evaluations["oof"], evaluations.get("seen_session")
    return Written(prediction, predicted.fusion, *evaluated, sha256)


def device_of(device: torch.device, precision: str) -> Device:
    """What a manifest says of where a model ran."""
    return Device(device=device.type, precision=precision, threads=torch.get_num_threads())
