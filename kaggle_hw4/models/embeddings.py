"""From what was pooled (B, d_in) to the speaker embedding (B, d_out)."""

from collections.abc import Callable

from torch import nn

from kaggle_hw4.models.norm import BatchNorm


class NoEmbedding(nn.Identity):
    """What was pooled, unchanged."""


class ReluEmbedding(nn.Sequential):
    """The sample recipe's: a linear layer and a ReLU."""

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(nn.Linear(d_in, d_out), nn.ReLU())


class BatchNormEmbedding(BatchNorm):
    """BatchNorm alone, as wide as the pooling: worth 3 points on the board to a public Boss."""

    def __init__(self, d_in: int, _d_out: int) -> None:
        super().__init__(d_in)


class BatchNormLinearEmbedding(nn.Sequential):
    """BatchNorm on both sides of a linear layer, as in ECAPA-TDNN (Desplanques et al. 2020)."""

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(BatchNorm(d_in), nn.Linear(d_in, d_out), BatchNorm(d_out))


EMBEDDINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": NoEmbedding,
    "relu": ReluEmbedding,
    "batch_norm": BatchNormEmbedding,
    "batch_norm_linear": BatchNormLinearEmbedding,
}
