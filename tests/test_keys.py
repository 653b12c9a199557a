"""Every key of a recipe reaches its destination: change it, and the run changes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.settings import get_keys, key_names, set_key
from tests.conftest import tiny, tiny_of, trained

# Bases in which everything is switched on, so that every key has something to act on.
ON = (
    "schedule.steps=8",
    "schedule.warmup_steps=2",
    "loss.margin_warmup_steps=4",
    "networks.dropout=0.1",
    "augment.freq_masks=2",
    "augment.time_masks=2",
    "augment.time_mask_width=0.3",
    "predict.segments=2",
    "predict.frames=[60]",
)
AUGMENTED = (
    "augment.channel_swap=0.5",
    "augment.reverberation=0.5",
    "augment.noise=0.5",
    "augment.noise_modulation=0.5",
    "augment.gain=1.0",
    "augment.random_eq=1.0",
    "augment.band_limit=0.5",
    "augment.mixup=0.5",
    "features.normalisation=none",
)


BASES = {
    "conformer": tiny("boss", *ON, "loss.label_smoothing=0.1", "networks.kernel_size=5"),
    "transformer": tiny("medium", *ON, "loss.margin_warmup_steps=0"),
    "ecapa": tiny_of(
        "ecapa", "networks.head=cosine", "networks.stem=convolution", "networks.subsampling=2",
        "networks.pooling=attentive_statistics", "loss.scale=30.0", "loss.margin=0.2",
        "loss.label_smoothing=0.0", *ON, *AUGMENTED, "large_margin_fine_tuning.steps=2",
        "large_margin_fine_tuning.margin=0.3", "large_margin_fine_tuning.frames=30",
        "segments.min_fraction=0.5", "networks.n_layers=2",
    ),
    "both": tiny("zoo/two_kinds", *ON),
    "mlp": tiny_of("mlp", *ON, "networks.context=5"),
    "rnn": tiny_of("rnn", *ON),
    "lstm": tiny_of("lstm", *ON),
    "gru": tiny_of("gru", *ON),
    "graph": tiny_of("graph", *ON),
}  # fmt: skip
CHANGES = [
    ("ecapa", "networks.groups", 4),
    ("ecapa", "networks.kernel_size", 5),
    ("ecapa", "networks.dropout", 0.3),
    ("transformer", "networks.stem", "convolution"),
    ("ecapa", "networks.subsampling", 1),
    ("ecapa", "networks.aggregation", False),
    ("ecapa", "networks.sub_centres", 2),
    ("conformer", "networks.norm", "layer"),
    ("conformer", "loss.margin_type", "aam"),
    ("ecapa", "segments.min_fraction", 0.8),
    ("ecapa", "segments.lengths", "growing"),
    ("ecapa", "augment.channel_swap", 0.0),
    ("ecapa", "augment.reverberation", 0.0),
    ("ecapa", "augment.noise", 0.0),
    ("ecapa", "augment.noise_snr", 10.0),
    ("ecapa", "augment.noise_modulation", 0.0),
    ("ecapa", "augment.gain", 0.0),
    ("ecapa", "augment.random_eq", 0.0),
    ("ecapa", "augment.band_limit", 0.0),
    ("ecapa", "augment.mixup", 0.0),
    ("ecapa", "augment.mixup_with", "same_speaker"),
    ("ecapa", "large_margin_fine_tuning.steps", 4),
    ("ecapa", "large_margin_fine_tuning.margin", 0.1),
    ("ecapa", "large_margin_fine_tuning.frames", 40),
    ("ecapa", "predict.spreading_neighbours", 2),
    ("conformer", "features.normalisation", "none"),
    ("conformer", "features.normalisation", "mean_variance"),
    ("conformer", "networks.count", 2),
    ("both", "networks.1.count", 2),
    ("both", "networks.1.d_model", 24),
    ("both", "networks.1.dropout", 0.3),
    ("both", "networks.1.pooling", "mean"),
    ("both", "networks.1.embedding", "relu"),
    ("both", "networks.1.aggregation", False),
    ("conformer", "networks.d_model", 24),
    ("conformer", "networks.n_layers", 2),
    ("conformer", "networks.n_heads", 4),
    ("conformer", "networks.d_ffn", 24),
    ("conformer", "networks.dropout", 0.3),
    ("conformer", "networks.positions", "rotary"),
    ("conformer", "networks.positions", "sinusoidal"),
    ("conformer", "networks.pooling", "mean"),
    ("conformer", "networks.pooling", "statistics"),
    ("conformer", "networks.pooling", "self_attention"),
    ("conformer", "networks.embedding", "relu"),
    ("conformer", "networks.d_embedding", 24),
    ("transformer", "networks.head", "cosine"),
    ("conformer", "networks.kernel_size", 7),
    ("transformer", "networks.window", 3),
    ("conformer", "networks.window", 3),
    ("mlp", "networks.context", 7),
    ("rnn", "networks.feedback", "output"),
    ("rnn", "networks.bidirectional", True),
    ("lstm", "networks.bidirectional", False),
    ("gru", "networks.bidirectional", True),
    ("graph", "networks.n_heads", 0),
    ("graph", "networks.time_neighbours", 1),
    ("graph", "networks.feature_neighbours", 3),
    ("graph", "networks.residual", False),
    ("conformer", "networks.pooling", "max"),
    ("conformer", "networks.pooling", "multi_head"),
    ("transformer", "networks.norm", "post"),
    ("transformer", "networks.positions", "rotary"),
    ("transformer", "networks.positions", "sinusoidal"),
    ("conformer", "loss.margin", 0.4),
    ("conformer", "loss.margin_warmup_steps", 2),
    ("conformer", "loss.scale", 15.0),
    ("conformer", "loss.label_smoothing", 0.2),
    ("conformer", "segments.frames", 32),
    ("conformer", "segments.batch_size", 5),
    ("conformer", "augment.freq_masks", 0),
    ("conformer", "augment.freq_mask_width", 12),
    ("conformer", "augment.time_masks", 0),
    ("conformer", "augment.time_mask_width", 0.6),
    ("conformer", "optimizer.learning_rate", 2e-3),
    ("conformer", "optimizer.weight_decay", 0.5),
    ("conformer", "optimizer.clip_norm", 0.1),
    ("conformer", "optimizer.ema_decay", 0.0),
    ("conformer", "schedule.steps", 9),
    ("conformer", "schedule.warmup_steps", 4),
    ("conformer", "schedule.validate_every", 3),
    ("conformer", "predict.segments", 3),
    ("conformer", "predict.frames", [60, 80]),
    ("conformer", "predict.average", "embeddings"),
    ("conformer", "predict.average", "probabilities"),
    ("conformer", "predict.weights", "best"),
    ("conformer", "predict.statistics", True),
    ("conformer", "predict.self_training", True),
]


def changed(base: Recipe, key: str, value: Any) -> Recipe:
    values = base.sections()
    assert get_keys(values, key)[-1] != value
    set_key(values, key, value)
    return Recipe.model_validate(values)


def fingerprint(run: Run) -> str:
    """The test logits, or when validated: what a key can possibly change."""
    steps = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()]
    return sha256_file(run.folder / "test.safetensors") + str(steps)


@pytest.fixture(scope="module")
def fingerprints(corpus: Corpus, folds: Folds, tmp_path_factory: Any) -> dict[str, str]:
    runs = tmp_path_factory.mktemp("bases")
    return {k: fingerprint(trained(r, corpus, folds, runs / k)) for k, r in BASES.items()}


@pytest.mark.parametrize(("base", "key", "value"), CHANGES)
def test_a_key_changes_the_run(
    corpus: Corpus,
    folds: Folds,
    tmp_path: Path,
    fingerprints: dict[str, str],
    base: str,
    key: str,
    value: Any,
) -> None:
    recipe = changed(BASES[base], key, value)
    if key == "predict.weights":
        recipe = changed(recipe, "optimizer.learning_rate", 0.3)  # best and last then differ
    run = trained(recipe, corpus, folds, tmp_path)
    if key == "predict.weights":
        other = trained(changed(recipe, key, "ema"), corpus, folds, tmp_path)
        best, last = (sha256_file(run.folder / f"{n}.safetensors") for n in ("best", "ema"))
        same = sha256_file(run.folder / "test.safetensors") == sha256_file(
            other.folder / "test.safetensors"
        )
        assert best != last
        assert not same
    else:
        assert fingerprint(run) != fingerprints[base]


def test_no_key_is_left_out() -> None:
    # A second network is built as the first is: some of its keys stand for all.
    keys = {key for base in BASES.values() for key in key_names(base.sections())}
    keys = {key for key in keys if not re.match(r"networks\.\d", key)}
    assert keys - {key for _, key, _ in CHANGES} == {"networks.encoder"}  # shown by the two bases
