"""The recipe of a pretraining: that of a variant, and an objective that needs no labels.

Lengths are in units of UNIT frames, the largest subsampling of a stem, so that networks with
different stems have the same frames to predict.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kaggle_hw4.errors import UsageError
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.settings import Section, Values, override, read_toml, validate

UNIT = 2  # frames of 10 ms
SHARE = 4  # of the variant's steps, one part of so many is what a pretraining takes by itself
WARM_UP = 10  # of its steps, one part of so many at most
SILENT = (
    "channel_swap", "reverberation", "noise", "gain", "random_eq", "band_limit", "freq_masks",
    "time_masks", "mixup",
)  # fmt: skip

Units = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[int, Field(ge=1, le=4096)]


class ObjectiveConfig(Section):
    objective: str = Field(description="What is predicted from what.")
    transductive: bool = Field(
        default=False, description="Whether the test set's frames are trained on, too."
    )


class MaskedConfig(ObjectiveConfig):
    objective: Literal["masked"] = Field(description="Hidden spans from the rest.")
    share: Annotated[float, Field(gt=0, le=0.9)] = Field(
        default=0.4, description="Share of the frames that is hidden, about."
    )
    span: Units = Field(default=10, description="Length of a hidden span, in units of 2 frames.")


class CbowConfig(ObjectiveConfig):
    objective: Literal["cbow"] = Field(description="A frame from the mean of its neighbours.")
    window: Units = Field(default=5, description="Neighbours on each side, in units of 2 frames.")


class SkipGramConfig(ObjectiveConfig):
    objective: Literal["skip_gram"] = Field(description="Its neighbours from a frame.")
    window: Units = Field(default=5, description="Neighbours on each side, in units of 2 frames.")


class AutoencoderConfig(ObjectiveConfig):
    objective: Literal["autoencoder"] = Field(description="A block of frames from a narrow code.")
    block: Units = Field(default=10, description="Length of a block, in units of 2 frames.")
    width: Width = Field(default=16, description="Width of the code.")


class VariationalConfig(ObjectiveConfig):
    objective: Literal["vae"] = Field(description="The same from a distribution of codes.")
    block: Units = Field(default=10, description="Length of a block, in units of 2 frames.")
    width: Width = Field(default=16, description="Width of the code.")
    kl_weight: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="Weight of the divergence from the prior; 1: the evidence bound."
    )


class CountsConfig(ObjectiveConfig):
    objective: Literal["counts"] = Field(description="The count-based embedding of a frame's code.")
    codes: Annotated[int, Field(ge=2, le=4096)] = Field(
        default=128, description="Codes that the frames are quantised to, by k-means."
    )
    window: Units = Field(default=5, description="Codes co-occur within it, in units of 2 frames.")
    width: Width = Field(default=32, description="Width of the embedding; no more than codes.")

    @model_validator(mode="after")
    def width_fits(self) -> "CountsConfig":
        if self.width > self.codes:
            raise ValueError(f"width {self.width} is more than the {self.codes} codes")
        return self


AnyObjective = Annotated[
    MaskedConfig | CbowConfig | SkipGramConfig | AutoencoderConfig | VariationalConfig
    | CountsConfig,
    Field(discriminator="objective"),
]  # fmt: skip
OBJECTIVES = ("masked", "cbow", "skip_gram", "autoencoder", "vae", "counts")


class PretrainingRecipe(Recipe):
    """All that a pretraining depends on beside its data, its fold and its seed."""

    pretraining: AnyObjective

    @model_validator(mode="after")
    def nothing_needs_labels(self) -> "PretrainingRecipe":
        for key in ("channel_swap", "mixup"):
            if getattr(self.augment, key):
                raise ValueError(f"augment.{key} needs labels: it must be 0.0 in a pretraining")
        return self


def read_pretraining_recipe(
    path: Path,
    objective: str,
    steps: int | None = None,
    transductive: bool = False,
    settings: Iterable[str] = (),
) -> PretrainingRecipe:
    """The variant in `path` as a pretraining of so many steps, with `settings` laid over it.

    Nothing is augmented and no part of the schedule is a fine-tuning, unless a setting says so.
    UsageError where there is no such objective, RecipeError for anything else.
    """
    if objective not in OBJECTIVES:
        known = f"an objective is one of {', '.join(OBJECTIVES)}"
        raise UsageError(f"there is no objective {objective!r}", known, parameter="objective")
    values = _without_labels(validate(Recipe, read_toml(path), path.name), steps)
    values["pretraining"] = {"objective": objective, "transductive": transductive}
    for setting in settings:
        override(values, setting)
    return validate(PretrainingRecipe, values, path.name)


def _without_labels(recipe: Recipe, steps: int | None) -> Values:
    """The values of a variant, made for a training of so many steps without labels."""
    values = recipe.sections()
    steps = steps or max(1, recipe.schedule.steps // SHARE)
    values["schedule"] |= {
        "steps": steps,
        "warmup_steps": min(recipe.schedule.warmup_steps, steps // WARM_UP),
        "validate_every": min(recipe.schedule.validate_every, steps),
    }
    values["large_margin_fine_tuning"]["steps"] = 0
    values["augment"] |= {key: type(values["augment"][key])(0) for key in SILENT}
    for section in ("start", "pseudo_labels", "distillation"):
        values.pop(section, None)
    return values


def read_finished_recipe(path: Path) -> PretrainingRecipe:
    """The recipe that a pretraining has written."""
    return validate(PretrainingRecipe, read_toml(path), path.name)
