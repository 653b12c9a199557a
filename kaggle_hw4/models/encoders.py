"""The encoders, by an explicit table: for each, a layer and the norm behind the last of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from kaggle_hw4.models.conformer import ConformerLayer
from kaggle_hw4.models.ecapa import EcapaLayer
from kaggle_hw4.models.graph import GraphLayer
from kaggle_hw4.models.mlp import MlpLayer
from kaggle_hw4.models.recurrent import RecurrentLayer
from kaggle_hw4.models.transformer import TransformerLayer, final_norm
from kaggle_hw4.networks import NetworkConfig


def no_norm(_config: Any) -> nn.Module:
    return nn.Identity()


def layer_norm(config: NetworkConfig) -> nn.Module:
    """Behind layers that add to their input, and leave the sum as it is."""
    return nn.LayerNorm(config.d_model)


class EncoderParts(NamedTuple):
    """What an encoder brings; both are called with its config, a row of `networks`.

    `layer(config, i)` makes the i-th layer: a module (B, T, D), mask (B, T) → (B, T, D), in which
    no frame of the padding changes a real one. `final_norm(config)` stands behind the last layer.
    """

    layer: Callable[[Any, int], nn.Module]
    final_norm: Callable[[Any], nn.Module] = no_norm


ENCODERS = {
    "transformer": EncoderParts(TransformerLayer, final_norm),
    "conformer": EncoderParts(ConformerLayer),
    "ecapa": EncoderParts(EcapaLayer),
    "mlp": EncoderParts(MlpLayer, layer_norm),
    "rnn": EncoderParts(RecurrentLayer, layer_norm),
    "lstm": EncoderParts(RecurrentLayer, layer_norm),
    "gru": EncoderParts(RecurrentLayer, layer_norm),
    "graph": EncoderParts(GraphLayer, layer_norm),
}
