"""The logits that a run leaves behind: of its validation fold (OOF) and of the test set."""

from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.segments import FrameStore
from kaggle_hw4.device import describe_device
from kaggle_hw4.errors import DataError
from kaggle_hw4.inference.predict import predict_logits
from kaggle_hw4.metrics import evaluate
from kaggle_hw4.models.build import build_model
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.recipe import PredictionConfig
from kaggle_hw4.runs import Logits, Run


def write_predictions(
    run: Run,
    model: SpeakerClassifier,
    store: FrameStore,
    folds: Folds,
    fold: int,
    plan: PredictionConfig,
) -> dict[str, Any]:
    """Write the OOF, the heard and the test logits of `run`; return what its manifest says."""
    corpus = store.corpus
    sets = {
        "oof": folds.validation(fold),
        "seen_session": folds.seen_session(fold),
        "test": corpus.test,
    }
    sha256, evaluated = {}, {}
    for name, rows in sets.items():
        if not len(rows):
            continue
        values = predict_logits(model, store, rows, plan)
        logits = Logits(tuple(corpus.ids[row] for row in rows), values)
        sha256[f"{name}.safetensors"] = run.write_logits(name, logits)
        evaluated[name] = evaluate(values, corpus.labels[rows])
    return {
        "predict": plan.model_dump() | describe_device(store.device),
        "validation": evaluated["oof"],
        "seen_session": evaluated.get("seen_session"),
        "sha256": sha256,
    }


def load_weights(model: SpeakerClassifier, path: Path) -> None:
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: not the weights of this recipe ({error})") from None


def predict_run(
    run: Run, corpus: Corpus, folds: Folds, plan: PredictionConfig, device: torch.device
) -> dict[str, Any]:
    """Predict a finished run anew under `plan`; its logits are replaced, its manifest says so."""
    manifest = run.manifest()
    for key, found, here in (
        ("recipe", manifest["recipe"], run.recipe().hash),
        ("corpus", manifest["corpus"], corpus.hash),
        ("fold table", manifest["folds"]["hash"], folds.hash),
    ):
        if found != here:
            raise DataError(f"{run.name} was trained on {key} {found}, here is {here}")
    weights = run.folder / f"{plan.weights}.safetensors"
    if not weights.is_file() or sha256_file(weights) != manifest["sha256"][weights.name]:
        raise DataError(f"{weights} is missing or has changed", run.remedy)
    model = build_model(run.recipe(), len(corpus.speakers), corpus.n_mels)
    load_weights(model, weights)
    store, fold = FrameStore(corpus, device), int(manifest["fold"])
    said = write_predictions(run, model.to(device), store, folds, fold, plan)
    manifest["sha256"] |= said.pop("sha256")
    run.write_manifest(manifest | said)
    return run.manifest()
