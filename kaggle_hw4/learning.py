"""What a training learns from beside its own labelled rows: optional sections of a recipe.

A recipe without such a section has none of its keys, in its file and in its hash.
"""

from typing import Annotated

from pydantic import Field

from kaggle_hw4.settings import Section, Share

Name = Annotated[str, Field(pattern=r"^[^/.][^/]*(/fold[0-9]+-seed[0-9]+)?$", max_length=200)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class StartConfig(Section):
    """What the encoders' weights are before the first step."""

    initialise_from: Name = Field(
        description="The pretraining whose encoders these begin as: of all folds, or one run of it."
    )


class PseudoLabelsConfig(Section):
    """Test utterances that are trained on with the labels of an ensemble (Lee 2013)."""

    labels: Digest = Field(description="The table of pseudo-labels, by its hash.")


class DistillationConfig(Section):
    """Soft targets from an ensemble (Hinton et al. 2015)."""

    teacher: Digest = Field(description="The ensemble's logits of the training rows, by its hash.")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        default=2.0, description="What both logits are divided by in the soft loss."
    )
    weight: Share = Field(
        default=0.5, description="Weight of the soft loss; the rest is that of the labels."
    )
    transductive: bool = Field(
        default=False, description="Whether the test set's soft targets are learned from, too."
    )
