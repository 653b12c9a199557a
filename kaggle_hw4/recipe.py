"""A variant as a recipe: a TOML file, complete and without inheritance, read strictly."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kaggle_hw4.artifact import sha256_json
from kaggle_hw4.settings import Section, override, read_toml, validate

LARGEST = 10**9  # of any count: more is a slip of the hand
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Features(Section):
    normalisation: Literal["none", "mean", "mean_variance"]  # per utterance and band, over time


class Model(Section):
    """What every encoder shares: the stem before it and all that stands behind it."""

    copies: Positive  # such networks side by side, from different random starts
    d_model: Positive
    n_layers: Positive
    dropout: Rate
    stem: Literal["linear", "convolution"]  # over time and bands, d_model / 4 channels
    subsampling: Literal[1, 2]  # frames in for a frame out of the stem
    aggregation: bool  # the layers' outputs side by side go to the pooling, not the last alone
    pooling: Literal["mean", "statistics", "self_attention", "attentive_statistics"]
    embedding: Literal["none", "relu", "batch_norm", "batch_norm_linear"]  # pooling → head
    d_embedding: Positive
    head: Literal["linear", "cosine"]
    sub_centres: Positive  # of a speaker in a cosine head; the nearest counts

    @model_validator(mode="after")
    def parts_fit(self) -> "Model":
        if self.subsampling > 1 and self.stem == "linear":
            raise ValueError("subsampling = 2 needs a stem that convolves: stem = 'convolution'")
        if self.sub_centres > 1 and self.head == "linear":
            raise ValueError("sub_centres are cosines: they need head = 'cosine'")
        if self.embedding in ("none", "batch_norm") and self.d_embedding != self.d_pooled:
            raise ValueError(
                f"embedding = {self.embedding!r} leaves the pooling's width: "
                f"d_embedding must be {self.d_pooled}"
            )
        return self

    @property
    def d_encoded(self) -> int:
        """Width of the frames that go to the pooling."""
        return self.d_model * (self.n_layers if self.aggregation else 1)

    @property
    def d_pooled(self) -> int:
        return self.d_encoded * (2 if self.pooling.endswith("statistics") else 1)


class AttentionModel(Model):
    n_heads: Positive
    d_ffn: Positive  # width of the feed-forward modules
    positions: Literal["none", "sinusoidal", "rotary"]

    @model_validator(mode="after")
    def heads_fit(self) -> "AttentionModel":
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is no multiple of n_heads {self.n_heads}")
        if self.positions == "rotary" and self.d_model // self.n_heads % 2:
            raise ValueError("rotary positions need an even d_model / n_heads")
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError("sinusoidal positions need an even d_model")
        return self


class TransformerModel(AttentionModel):
    encoder: Literal["transformer"]
    norm: Literal["pre", "post"]  # where LayerNorm stands; post diverges when deep


class ConvolutionalModel(Model):
    kernel_size: Positive  # of the convolutions over time, in frames; odd

    @model_validator(mode="after")
    def kernel_is_odd(self) -> "ConvolutionalModel":
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd to stay centred")
        return self


class ConformerModel(AttentionModel, ConvolutionalModel):
    encoder: Literal["conformer"]
    norm: Literal["layer", "batch"]  # within the convolution module


class EcapaModel(ConvolutionalModel):
    encoder: Literal["ecapa"]
    groups: Annotated[int, Field(ge=2, le=LARGEST)]  # of channels in a Res2 convolution

    @model_validator(mode="after")
    def groups_fit(self) -> "EcapaModel":
        if self.d_model % self.groups:
            raise ValueError(f"d_model {self.d_model} is no multiple of groups {self.groups}")
        return self


class Loss(Section):
    margin: Rate  # the true speaker's handicap, in the loss only
    margin_on: Literal["cosine", "angle"]  # AM-Softmax, or AAM-Softmax (radians)
    margin_warmup: Count  # steps over which the margin grows from 0; half of all at most
    scale: Annotated[float, Field(gt=0)]  # logits = scale · cosine
    label_smoothing: Rate


class Segments(Section):
    frames: Positive  # length of a training segment at most, 10 ms each
    shortest: Annotated[float, Field(gt=0, le=1)]  # and at least, a fraction of it
    lengths: Literal["uniform", "growing"]  # a step's drawn in between, or growing with the steps
    batch_size: Annotated[int, Field(ge=2, le=LARGEST)]


class Augment(Section):
    """Drawn for every segment: where two probabilities meet, both happen, in this order."""

    transplant: Share  # probability: the channel of another speaker's utterance for its own
    reverberation: Share  # probability: a decaying tail behind every frame
    noise: Share  # probability: stationary noise with a smooth spectrum, added in energy
    noise_snr: Annotated[float, Field(ge=-20, le=60)]  # dB, at the loudest; 25 dB more at least
    modulation: Annotated[float, Field(ge=0, le=10)]  # nat: how much the noise comes and goes
    level: Annotated[float, Field(ge=0, le=10)]  # nat: deviation of the loudness
    spectrum: Annotated[float, Field(ge=0, le=10)]  # nat: deviation of smooth offsets and tilts
    band_limit: Share  # probability: the lowest and the highest bands lost
    band_masks: Count  # SpecAugment: so many masks of up to such a width
    band_width: Count  # mel bands
    time_masks: Count
    time_width: Share  # fraction of the segment
    mixup: Share  # probability that a segment is mixed with a partner, labels and all
    mixup_with: Literal["anyone", "speaker"]  # or another session of the same speaker


class FineTuning(Section):
    """The last steps of the schedule: a larger margin on longer segments (Garcia-Romero 2019)."""

    steps: Count  # 0: none
    margin: Rate
    frames: Positive


class Optimizer(Section):
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]  # of the gradient; 0 leaves it alone
    ema_decay: Rate  # of the averaged weights; 0 makes them the live ones


class Schedule(Section):
    steps: Positive
    warmup_steps: Count
    validate_every: Positive  # steps


def _listed(value: object) -> object:
    return [value] if isinstance(value, int) else value


Lengths = Annotated[
    list[Positive], Field(min_length=1), BeforeValidator(_listed)
]  # one, or several


class Predict(Section):
    weights: Literal["averaged", "best"]  # at the end, or where validation was highest
    segments: Count  # of each length, evenly spaced; 0: the whole utterance at once
    frames: Lengths  # of such segments; one length, or several
    average: Literal["logits", "probabilities", "embeddings"]  # over the segments
    neighbours: Count  # whose log-probabilities count too, of the set that is predicted; 0: none


AnyModel = Annotated[TransformerModel | ConformerModel | EcapaModel, Field(discriminator="encoder")]


class Recipe(Section):
    """All that a training depends on beside its data, its fold and its seed."""

    features: Features
    model: AnyModel
    second: AnyModel | None = None  # networks of another kind beside the first's
    loss: Loss
    segments: Segments
    augment: Augment
    fine_tuning: FineTuning
    optimizer: Optimizer
    schedule: Schedule
    predict: Predict

    @model_validator(mode="after")
    def parts_agree(self) -> "Recipe":
        margins = self.loss.margin or (self.fine_tuning.steps and self.fine_tuning.margin)
        heads = [model.head for model in self.models]
        if "linear" in heads and (margins or self.loss.scale != 1):
            raise ValueError(
                "margins and loss.scale act on cosines: with model.head = 'linear' "
                "they must be 0.0 and 1.0 (or use model.head = 'cosine')"
            )
        for part, steps in (
            ("schedule.warmup_steps", self.schedule.warmup_steps),
            ("fine_tuning.steps", self.fine_tuning.steps),
        ):
            if steps > self.schedule.steps:
                raise ValueError(f"{part} is more than schedule.steps")
        return self

    def fine_tunes(self, step: int) -> bool:
        """Whether a training step belongs to the fine-tuning."""
        return step >= self.schedule.steps - self.fine_tuning.steps

    @property
    def models(self) -> list[AnyModel]:
        """What its networks are like, kind by kind."""
        return [self.model] if self.second is None else [self.model, self.second]

    def sections(self) -> dict[str, dict[str, Any]]:
        """Its keys and values by section; only a recipe with two kinds has a second."""
        return self.model_dump(exclude_none=True)

    @property
    def hash(self) -> str:
        return sha256_json(self.sections())[:8]

    def to_toml(self) -> str:
        """The recipe as TOML; every value is one that JSON and TOML write alike."""
        sections = (
            f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            for name, keys in self.sections().items()
        )
        return "\n".join(sections)


def read_recipe(path: Path, settings: Iterable[str] = ()) -> Recipe:
    """The recipe in `path` with `section.key=value` settings laid over it, or RecipeError."""
    values = read_toml(path)
    for setting in settings:
        override(values, setting)
    return validate(Recipe, values, path.name)
