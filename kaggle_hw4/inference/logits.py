"""The logits that a run leaves behind: of its validation fold (OOF) and of the test set."""

from dataclasses import dataclass

import torch

from kaggle_hw4.artifact import verify
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.inference.weights import read_weights
from kaggle_hw4.metrics import Evaluation, evaluate
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.progress import Bar, no_bar
from kaggle_hw4.recipe import PredictionConfig
from kaggle_hw4.runs import Device, Logits, Manifest, Prediction, Run


@dataclass(frozen=True)
class Written:
    """What a manifest says of the logits beside it."""

    prediction: Prediction
    validation: Evaluation
    seen_session: Evaluation | None
    sha256: dict[str, str]


def write_predictions(
    run: Run,
    model: SpeakerClassifier,
    store: FrameStore,
    folds: Folds,
    config: PredictionConfig,
    bar: Bar = no_bar,
) -> Written:
    """Write the OOF, the seen-session and the test logits of `run`."""
    corpus = store.corpus
    sets = {
        "oof": folds.validation(run.fold),
        "seen_session": folds.seen_session(run.fold),
        "test": corpus.test,
    }
    sha256, evaluations = {}, {}
    for name, rows in sets.items():
        if not len(rows):
            continue
        # Sessions of a fold may hold more utterances than those of the test set.
        subsets = folds.subsets(run.fold) if name == "oof" else None
        values = predict_logits(model, store, rows, config, subsets, bar)
        logits = Logits(tuple(corpus.ids[row] for row in rows), values)
        sha256[f"{name}.safetensors"] = run.write_logits(name, logits)
        evaluations[name] = evaluate(values, corpus.labels[rows])
    prediction = Prediction(config=config, device=device_of(store.device, model.precision))
    return Written(prediction, evaluations["oof"], evaluations.get("seen_session"), sha256)


def device_of(device: torch.device, precision: str) -> Device:
    """What a manifest says of where a model ran."""
    return Device(device=device.type, precision=precision, threads=torch.get_num_threads())


def predict_run(
    run: Run,
    store: FrameStore,
    folds: Folds,
    config: PredictionConfig,
    precision: str,
    bar: Bar = no_bar,
) -> Manifest:
    """Predict a finished run anew; its logits are replaced, its manifest says so."""
    manifest, recipe, corpus = run.manifest(), run.recipe(), store.corpus
    for what, then, now in (
        ("recipe", manifest.recipe, recipe.hash),
        ("corpus", manifest.corpus, corpus.hash),
        ("fold table", manifest.folds.hash, folds.hash),
    ):
        if then != now:
            raise DataError(f"{run.name} was trained on {what} {then}, not on {now}")
    weights = run.folder / f"{config.weights}.safetensors"
    verify(weights, manifest.sha256[weights.name], run.remedy)
    model = build_model(recipe, len(corpus.speakers), corpus.n_mels)
    model.precision = precision
    read_weights(weights, model)
    written = write_predictions(run, model.to(store.device), store, folds, config, bar)
    update = vars(written) | {"sha256": manifest.sha256 | written.sha256}
    return run.write_manifest(manifest.model_copy(update=update))
