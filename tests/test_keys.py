"""Every key of a recipe reaches its destination: change it, and the run changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from kaggle_hw4.artifact import sha256_file
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.data.packed import Packed
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.runs import Run
from tests.conftest import tiny, trained

# Bases in which everything is switched on, so that every key has something to act on.
ON = (
    "schedule.steps=8",
    "schedule.warmup_steps=2",
    "loss.margin_warmup=4",
    "model.dropout=0.1",
    "augment.band_masks=2",
    "augment.time_masks=2",
    "augment.time_width=0.3",
    "predict.segments=2",
    "predict.frames=[60]",
)
AUGMENTED = (
    "augment.transplant=0.5",
    "augment.reverberation=0.5",
    "augment.noise=0.5",
    "augment.modulation=0.5",
    "augment.level=1.0",
    "augment.spectrum=1.0",
    "augment.band_limit=0.5",
    "augment.mixup=0.5",
    "features.normalisation=none",
)


def of_one_kind(recipe: Recipe) -> Recipe:
    return Recipe.model_validate({k: v for k, v in recipe.sections().items() if k != "second"})


BASES = {
    "conformer": tiny("boss", *ON, "loss.label_smoothing=0.1", "model.kernel_size=5"),
    "transformer": tiny("medium", *ON, "loss.margin_warmup=0"),
    "ecapa": of_one_kind(tiny(
        "champion", *ON, *AUGMENTED, "fine_tuning.steps=2", "fine_tuning.margin=0.3",
        "fine_tuning.frames=30", "segments.shortest=0.5", "model.n_layers=2",
    )),
    "both": tiny("champion", *ON),
}  # fmt: skip
CHANGES = [
    ("ecapa", "model.groups", 4),
    ("ecapa", "model.kernel_size", 5),
    ("ecapa", "model.dropout", 0.3),
    ("transformer", "model.stem", "convolution"),
    ("ecapa", "model.subsampling", 1),
    ("ecapa", "model.aggregation", False),
    ("ecapa", "model.sub_centres", 2),
    ("conformer", "model.norm", "layer"),
    ("conformer", "loss.margin_on", "angle"),
    ("ecapa", "segments.shortest", 0.8),
    ("ecapa", "segments.lengths", "growing"),
    ("ecapa", "augment.transplant", 0.0),
    ("ecapa", "augment.reverberation", 0.0),
    ("ecapa", "augment.noise", 0.0),
    ("ecapa", "augment.noise_snr", 10.0),
    ("ecapa", "augment.modulation", 0.0),
    ("ecapa", "augment.level", 0.0),
    ("ecapa", "augment.spectrum", 0.0),
    ("ecapa", "augment.band_limit", 0.0),
    ("ecapa", "augment.mixup", 0.0),
    ("ecapa", "augment.mixup_with", "speaker"),
    ("ecapa", "fine_tuning.steps", 4),
    ("ecapa", "fine_tuning.margin", 0.1),
    ("ecapa", "fine_tuning.frames", 40),
    ("ecapa", "predict.neighbours", 2),
    ("conformer", "features.normalisation", "none"),
    ("conformer", "features.normalisation", "mean_variance"),
    ("conformer", "model.copies", 2),
    ("both", "second.copies", 2),
    ("both", "second.d_model", 24),
    ("both", "second.dropout", 0.3),
    ("both", "second.pooling", "mean"),
    ("both", "second.embedding", "relu"),
    ("both", "second.aggregation", False),
    ("conformer", "model.d_model", 24),
    ("conformer", "model.n_layers", 2),
    ("conformer", "model.n_heads", 4),
    ("conformer", "model.d_ffn", 24),
    ("conformer", "model.dropout", 0.3),
    ("conformer", "model.positions", "rotary"),
    ("conformer", "model.positions", "sinusoidal"),
    ("conformer", "model.pooling", "mean"),
    ("conformer", "model.pooling", "statistics"),
    ("conformer", "model.pooling", "attentive_statistics"),
    ("conformer", "model.embedding", "relu"),
    ("conformer", "model.d_embedding", 24),
    ("transformer", "model.head", "cosine"),
    ("conformer", "model.kernel_size", 7),
    ("transformer", "model.norm", "post"),
    ("transformer", "model.positions", "rotary"),
    ("transformer", "model.positions", "sinusoidal"),
    ("conformer", "loss.margin", 0.4),
    ("conformer", "loss.margin_warmup", 2),
    ("conformer", "loss.scale", 15.0),
    ("conformer", "loss.label_smoothing", 0.2),
    ("conformer", "segments.frames", 32),
    ("conformer", "segments.batch_size", 5),
    ("conformer", "augment.band_masks", 0),
    ("conformer", "augment.band_width", 12),
    ("conformer", "augment.time_masks", 0),
    ("conformer", "augment.time_width", 0.6),
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
]


def changed(base: Recipe, key: str, value: Any) -> Recipe:
    values = base.sections()
    section, name = key.split(".")
    assert values[section][name] != value
    values[section][name] = value
    return Recipe.model_validate(values)


def fingerprint(run: Run) -> str:
    """The test logits, or when validated: what a key can possibly change."""
    steps = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()]
    return sha256_file(run.folder / "test.safetensors") + str(steps)


@pytest.fixture(scope="module")
def fingerprints(packed: Packed, folds: Folds, tmp_path_factory: Any) -> dict[str, str]:
    runs = tmp_path_factory.mktemp("bases")
    return {k: fingerprint(trained(r, packed, folds, runs / k)) for k, r in BASES.items()}


@pytest.mark.parametrize(("base", "key", "value"), CHANGES)
def test_a_key_changes_the_run(
    packed: Packed,
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
    run = trained(recipe, packed, folds, tmp_path)
    if key == "predict.weights":
        twin = trained(changed(recipe, key, "averaged"), packed, folds, tmp_path)
        best, last = (sha256_file(run.folder / f"{n}.safetensors") for n in ("best", "averaged"))
        same = sha256_file(run.folder / "test.safetensors") == sha256_file(
            twin.folder / "test.safetensors"
        )
        assert best != last
        assert not same
    else:
        assert fingerprint(run) != fingerprints[base]


def test_no_key_is_left_out() -> None:
    sections = [item for base in BASES.values() for item in base.sections().items()]
    # The second kind is built as the first is: some of its keys stand for all.
    keys = {f"{s}.{k}" for s, v in sections if s != "second" for k in v}
    assert keys - {key for _, key, _ in CHANGES} == {"model.encoder"}  # told by the two bases
