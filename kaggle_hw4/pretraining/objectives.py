"""The objectives, by an explicit table."""

from collections.abc import Callable
from typing import Any

from kaggle_hw4.pretraining.codes import Autoencoder, Counts, Variational
from kaggle_hw4.pretraining.hidden import Cbow, Masked, SkipGram
from kaggle_hw4.pretraining.objective import Objective

# For each: a decoder, of its config, the width of the encoder's outputs and that of the frames.
OBJECTIVES: dict[str, Callable[[Any, int, int], Objective]] = {
    "masked": Masked,
    "cbow": Cbow,
    "skip_gram": SkipGram,
    "autoencoder": Autoencoder,
    "vae": Variational,
    "counts": Counts,
}
