"""A variant as a recipe: a TOML file, complete and without inheritance, read strictly."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from kaggle_hw4.artifact import sha256_json
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.learning import DistillationConfig, PseudoLabelsConfig, StartConfig
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
    normalisation: Literal["none", "mean", "mean_variance"] = Field(
        description="Taken out of each utterance and band over time: nothing, the mean, or "
        "the deviation too."
    )


class LossConfig(Section):
    margin: Rate = Field(
        description="Margin on the target logit, in the loss only: a prediction has none."
    )
    margin_type: Literal["am", "aam"] = Field(
        description="On the cosine (am: Wang et al. 2018) or on the angle, in radians (aam: "
        "Deng et al. 2019)."
    )
    margin_warmup_steps: Count = Field(
        description="Steps over which the margin grows from 0; half of all at most."
    )
    scale: Annotated[float, Field(gt=0)] = Field(
        description="What cosines are multiplied by to be logits."
    )
    label_smoothing: Rate = Field(
        description="Share of the target that is spread evenly over all speakers "
        "(Szegedy et al. 2016)."
    )


class SegmentsConfig(Section):
    frames: Positive = Field(description="Longest training segment, in frames of 10 ms.")
    min_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Smallest length, as a fraction of `frames`."
    )
    lengths: Literal["uniform", "growing"] = Field(
        description="Each step's length is drawn between the two, or grows with the steps."
    )
    batch_size: Annotated[int, Field(ge=2, le=MAX_BATCH)] = Field(
        description="Segments of a training step."
    )


class AugmentConfig(Section):
    """Drawn for every segment: where two probabilities meet, both happen, in this order."""

    channel_swap: Share = Field(
        description="Probability that the channel of another speaker's utterance replaces its own."
    )
    reverberation: Share = Field(description="Probability of a decaying tail behind every frame.")
    noise: Share = Field(
        description="Probability of stationary noise with a smooth spectrum, added in energy."
    )
    noise_snr: Annotated[float, Field(ge=-20, le=60)] = Field(
        description="Signal-to-noise ratio of the loudest noise, in dB; the faintest is 25 dB "
        "below it."
    )
    noise_modulation: Annotated[float, Field(ge=0, le=10)] = Field(
        description="Depth of the noise's slow modulation, in nat."
    )
    gain: Annotated[float, Field(ge=0, le=10)] = Field(
        description="Standard deviation of the level, in nat."
    )
    random_eq: Annotated[float, Field(ge=0, le=10)] = Field(
        description="Standard deviation of smooth offsets and tilts over the bands, in nat."
    )
    band_limit: Share = Field(
        description="Probability that the lowest and the highest bands are lost."
    )
    freq_masks: Masks = Field(description="Masks of mel bands (SpecAugment, Park et al. 2019).")
    freq_mask_width: Count = Field(description="Widest of them, in mel bands.")
    time_masks: Masks = Field(description="Masks of frames (SpecAugment, Park et al. 2019).")
    time_mask_width: Share = Field(description="Widest of them, as a fraction of the segment.")
    mixup: Share = Field(
        description="Probability that a segment is mixed with a partner, labels and all "
        "(Zhang et al. 2018)."
    )
    mixup_with: Literal["any", "same_speaker"] = Field(
        description="The partner: any segment, or another session of the same speaker."
    )


class FineTuningConfig(Section):
    """The last steps of the schedule: a larger margin on longer segments (Garcia-Romero 2019)."""

    steps: Count = Field(
        description="Steps at the end with a larger margin on longer segments; 0: none."
    )
    margin: Rate = Field(description="Margin of these steps.")
    frames: Frames = Field(description="Length of their segments, in frames of 10 ms.")


class OptimizerConfig(Section):
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        description="AdamW's after the warm-up; from there it falls to 0 as half a cosine."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        description="AdamW's, decoupled from the gradient (Loshchilov and Hutter 2019)."
    )
    clip_norm: Annotated[float, Field(ge=0)] = Field(
        description="Largest norm of a network's gradient; 0: it is not clipped."
    )
    ema_decay: Rate = Field(
        description="Decay of the moving average (EMA) of the weights; 0: the weights themselves."
    )


class ScheduleConfig(Section):
    steps: Positive = Field(description="Training steps in all.")
    warmup_steps: Count = Field(description="Steps over which the learning rate grows from 0.")
    validate_every: Positive = Field(description="Steps between two validations.")


def _listed(value: object) -> object:
    return [value] if isinstance(value, int) else value


Lengths = Annotated[
    list[Frames], Field(min_length=1, max_length=MAX_PARTS), BeforeValidator(_listed)
]  # one, or several


NEIGHBOURS = 6  # of label spreading, where nothing else is asked for


class PredictionConfig(Section):
    weights: Literal["ema", "best"] = Field(
        description="EMA weights at the end, or those where validation was highest."
    )
    segments: Segments = Field(
        description="Segments of each length that predict an utterance, evenly spaced; 0: the "
        "whole at once."
    )
    frames: Lengths = Field(
        description="Length of these segments, in frames of 10 ms; or several lengths."
    )
    average: Literal["logits", "probabilities", "embeddings"] = Field(
        description="What is averaged over the segments."
    )
    statistics: bool = Field(
        default=False,  # of the recipes that were written before this key, whose hashes stay
        description="The network's logits are fused (Brümmer et al. 2007) with those of linear "
        "discriminant analyses of the bands' second-order statistics (Bimbot et al. 1995), which "
        "are fitted on labelled utterances when a run is predicted.",
    )
    self_training: Literal["auto"] | bool = Field(
        default=False,
        description="A discriminant analysis of the predicted set's own embeddings, by the classes "
        "that its logits give them (a step of expectation maximisation, Dempster et al. 1977), is "
        "fused with them. auto: where the folds are by session.",
    )
    spreading_neighbours: Literal["auto"] | Count = Field(
        description="Neighbours of label spreading (Zhou et al. 2004) over the set that is "
        f"predicted; 0: none. auto: {NEIGHBOURS} where the folds are by session, because the test "
        "set was measured to be of other sessions."
    )

    def settled(self, by: str) -> "PredictionConfig":
        """The config without anything "auto", for folds `by` session or utterance."""
        shifted = by == "session"
        neighbours = NEIGHBOURS if shifted else 0
        defaults = {"spreading_neighbours": neighbours, "self_training": shifted}
        asked = {key: value for key, value in defaults.items() if getattr(self, key) == "auto"}
        return self.model_copy(update=asked)


class Recipe(Section):
    """All that a training depends on beside its data, its fold and its seed.

    The last sections are optional: where one is None, the recipe and its hash know nothing of it.
    """

    features: FeaturesConfig
    networks: Annotated[list[AnyNetwork], Field(min_length=1, max_length=MAX_PARTS)]
    loss: LossConfig
    segments: SegmentsConfig
    augment: AugmentConfig
    large_margin_fine_tuning: FineTuningConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    predict: PredictionConfig
    start: StartConfig | None = None
    pseudo_labels: PseudoLabelsConfig | None = None
    distillation: DistillationConfig | None = None

    @model_validator(mode="after")
    def parts_agree(self) -> "Recipe":
        fine_tuning = self.large_margin_fine_tuning
        heads = [network.head for network in self.networks]
        if "linear" in heads and (self.has_margin or self.loss.scale != 1):
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
        if self.pseudo_labels and self.distillation and not self.distillation.transductive:
            raise ValueError(
                "the teacher has nothing to say of utterances with pseudo-labels: set "
                "distillation.transductive = true, or leave one of the two out"
            )
        return self

    @property
    def has_margin(self) -> bool:
        """Whether some step of the training has a margin."""
        fine_tuning = self.large_margin_fine_tuning
        return bool(self.loss.margin or (fine_tuning.steps and fine_tuning.margin))

    def is_fine_tuning(self, place: float) -> bool:
        """Whether a place in the schedule, a step of it, belongs to the fine-tuning."""
        return place >= self.schedule.steps - self.large_margin_fine_tuning.steps

    def sections(self) -> Values:
        """Its keys and values by section; `networks` is a list of such sections."""
        return {name: keys for name, keys in self.model_dump().items() if keys is not None}

    def written_sections(self) -> Values:
        """Those that are written and hashed. A key with a default, younger than other recipes, is
        left out where it has it: their hashes stay.
        """
        return self.model_dump(exclude_defaults=True)

    @property
    def hash(self) -> str:
        return sha256_json(self.written_sections())[:8]

    def to_toml(self) -> str:
        """The recipe as TOML; every value is one that JSON and TOML write alike."""
        sections = []
        for name, section in self.written_sections().items():
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
