"""A variant as a recipe: a TOML file, complete and without inheritance, read strictly."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from kaggle_hw4.artifact import sha256_json
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.networks import AnyNetwork
from kaggle_hw4.settings import (
    MAX_BATCH,
    MAX_PARTS,
    MAX_SEGMENTS,
    Count,
    Frames,
    Positive,
    Rate,
    Section,
    Share,
    Values,
    override,
    read_toml,
    validate,
)

Segments = Annotated[int, Field(ge=0, le=MAX_SEGMENTS)]
Masks = Annotated[int, Field(ge=0, le=MAX_PARTS)]


class FeaturesConfig(Section):
    normalisation: Literal["none", "mean", "mean_variance"]  # per utterance and band, over time


class LossConfig(Section):
    margin: Rate  # on the target logit, in the loss only
    margin_type: Literal["am", "aam"]  # additive (on the cosine), additive angular (radians)
    margin_warmup_steps: Count  # steps over which the margin grows from 0; half of all at most
    scale: Annotated[float, Field(gt=0)]  # logits = scale · cosine
    label_smoothing: Rate


class SegmentsConfig(Section):
    frames: Positive  # length of a training segment at most, 10 ms each
    min_fraction: Annotated[float, Field(gt=0, le=1)]  # and at least, a fraction of it
    lengths: Literal["uniform", "growing"]  # a step's drawn in between, or growing with the steps
    batch_size: Annotated[int, Field(ge=2, le=MAX_BATCH)]


class AugmentConfig(Section):
    """Drawn for every segment: where two probabilities meet, both happen, in this order."""

    channel_swap: Share  # probability: the channel of another speaker's utterance for its own
    reverberation: Share  # probability: a decaying tail behind every frame
    noise: Share  # probability: stationary noise with a smooth spectrum, added in energy
    noise_snr: Annotated[float, Field(ge=-20, le=60)]  # dB, at the loudest; 25 dB more at least
    noise_modulation: Annotated[float, Field(ge=0, le=10)]  # nat: depth of its slow modulation
    gain: Annotated[float, Field(ge=0, le=10)]  # nat: standard deviation of the level
    random_eq: Annotated[float, Field(ge=0, le=10)]  # nat: deviation of smooth offsets, tilts
    band_limit: Share  # probability: the lowest and the highest bands lost
    freq_masks: Masks  # SpecAugment: so many masks of up to such a width
    freq_mask_width: Count  # mel bands
    time_masks: Masks
    time_mask_width: Share  # fraction of the segment
    mixup: Share  # probability that a segment is mixed with a partner, labels and all
    mixup_with: Literal["any", "same_speaker"]  # or another session of the same speaker


class FineTuningConfig(Section):
    """The last steps of the schedule: a larger margin on longer segments (Garcia-Romero 2019)."""

    steps: Count  # 0: none
    margin: Rate
    frames: Frames


class OptimizerConfig(Section):
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(ge=0)]  # of the gradient; 0 leaves it alone
    ema_decay: Rate  # of the moving average of the weights; 0: the weights themselves


class ScheduleConfig(Section):
    steps: Positive
    warmup_steps: Count
    validate_every: Positive  # steps


def _listed(value: object) -> object:
    return [value] if isinstance(value, int) else value


Lengths = Annotated[
    list[Frames], Field(min_length=1, max_length=MAX_PARTS), BeforeValidator(_listed)
]  # one, or several


class PredictionConfig(Section):
    weights: Literal["ema", "best"]  # at the end, or where validation was highest
    segments: Segments  # of each length, evenly spaced; 0: the whole utterance at once
    frames: Lengths  # of such segments; one length, or several
    average: Literal["logits", "probabilities", "embeddings"]  # over the segments
    spreading_neighbours: Count  # of label spreading over the set that is predicted; 0: none


class Recipe(Section):
    """All that a training depends on beside its data, its fold and its seed."""

    features: FeaturesConfig
    networks: Annotated[list[AnyNetwork], Field(min_length=1, max_length=MAX_PARTS)]
    loss: LossConfig
    segments: SegmentsConfig
    augment: AugmentConfig
    large_margin_fine_tuning: FineTuningConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    predict: PredictionConfig

    @model_validator(mode="after")
    def parts_agree(self) -> "Recipe":
        fine_tuning = self.large_margin_fine_tuning
        margins = self.loss.margin or (fine_tuning.steps and fine_tuning.margin)
        heads = [network.head for network in self.networks]
        if "linear" in heads and (margins or self.loss.scale != 1):
            raise ValueError(
                "margins and loss.scale act on cosines: with networks.head = 'linear' "
                "they must be 0.0 and 1.0 (or use networks.head = 'cosine')"
            )
        for part, steps in (
            ("schedule.warmup_steps", self.schedule.warmup_steps),
            ("large_margin_fine_tuning.steps", fine_tuning.steps),
        ):
            if steps > self.schedule.steps:
                raise ValueError(f"{part} is more than schedule.steps")
        return self

    def is_fine_tuning(self, step: int) -> bool:
        """Whether a training step belongs to the fine-tuning."""
        return step >= self.schedule.steps - self.large_margin_fine_tuning.steps

    def sections(self) -> Values:
        """Its keys and values by section; `networks` is a list of such sections."""
        return self.model_dump()

    @property
    def hash(self) -> str:
        return sha256_json(self.sections())[:8]

    def to_toml(self) -> str:
        """The recipe as TOML; every value is one that JSON and TOML write alike."""
        sections = []
        for name, section in self.sections().items():
            if isinstance(section, list):
                sections += [f"[[{name}]]\n{_lines(keys)}" for keys in section]
            else:
                sections.append(f"[{name}]\n{_lines(section)}")
        return "\n".join(sections)


def _lines(keys: Values) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def read_recipe(path: Path, settings: Iterable[str] = ()) -> Recipe:
    """The recipe in `path` with `section.key=value` settings laid over it, or RecipeError."""
    values = read_toml(path)
    if "model" in values and "networks" not in values:
        raise RecipeError(
            f"{path} is a recipe of hw4 0.1", "CHANGELOG.md lists the keys that have new names"
        )
    for setting in settings:
        override(values, setting)
    return validate(Recipe, values, path.name)
