"""What a network can be made of: a config for every encoder, by an explicit table.

Free of torch, so that a recipe is read in no time. An encoder is a config here, a layer in
`models/` and a row in `models.encoders.ENCODERS`; CONTRIBUTING.md shows how to add one.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kaggle_hw4.settings import MAX_WIDTH, Count, Parts, Rate, Section, Width

POOLED_MOMENTS = {
    "mean": 1,
    "max": 1,
    "statistics": 2,
    "self_attention": 1,
    "multi_head": 1,
    "attentive_statistics": 2,
}
POOLING_HEADS = 4  # of multi-head pooling; they divide the width of the frames


class NetworkConfig(Section):
    """What every encoder shares: the stem before it and all that stands behind it."""

    encoder: str = Field(description="What encodes the frames.")
    count: Parts = Field(
        description="Such networks in parallel, from different random starts "
        "(Lakshminarayanan et al. 2017)."
    )
    d_model: Width = Field(description="Width of the encoder's layers.")
    n_layers: Parts = Field(description="Layers of the encoder.")
    dropout: Rate = Field(
        description="Probability that an activation is dropped in training (Srivastava et al. "
        "2014)."
    )
    stem: Literal["linear", "convolution"] = Field(
        description="What stands before the encoder; convolutions over time and bands have "
        "d_model / 4 channels."
    )
    subsampling: Literal[1, 2] = Field(description="Frames in for a frame out of the stem.")
    aggregation: bool = Field(
        description="The outputs of all layers go to the pooling, concatenated; else the last "
        "alone."
    )
    pooling: Literal[
        "mean", "max", "statistics", "self_attention", "multi_head", "attentive_statistics"
    ] = Field(
        description="From frames to an utterance (statistics: Snyder et al. 2017, self_attention: "
        "Safari et al. 2020, multi_head: India et al. 2019, attentive_statistics: Okabe et al. "
        "2018)."
    )
    embedding: Literal["none", "relu", "batch_norm", "batch_norm_linear"] = Field(
        description="What stands between the pooling and the head."
    )
    d_embedding: Width = Field(description="Width of the embedding.")
    head: Literal["linear", "cosine"] = Field(
        description="Logits are linear in the embedding, or cosines with a vector of each speaker."
    )
    sub_centres: Parts = Field(
        description="Vectors of a speaker in a cosine head; the nearest counts (Deng et al. 2020)."
    )

    @model_validator(mode="after")
    def parts_fit(self) -> "NetworkConfig":
        if self.subsampling > 1 and self.stem == "linear":
            raise ValueError("subsampling = 2 needs a stem that convolves: stem = 'convolution'")
        if self.sub_centres > 1 and self.head == "linear":
            raise ValueError("sub_centres are cosines: they need head = 'cosine'")
        if self.pooling == "multi_head" and self.d_encoded % POOLING_HEADS:
            raise ValueError(
                f"pooling = 'multi_head' needs frames of a width that {POOLING_HEADS} divides: "
                f"{self.d_encoded} is none"
            )
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
        return self.d_encoded * POOLED_MOMENTS[self.pooling]


class AttentionConfig(NetworkConfig):
    n_heads: Width = Field(description="Attention heads of a layer; they divide d_model.")
    d_ffn: Width = Field(description="Width of the feed-forward modules.")
    positions: Literal["none", "sinusoidal", "rotary"] = Field(
        description="Position encoding: none, sinusoidal (Vaswani et al. 2017) or rotary (Su "
        "et al. 2021)."
    )
    window: Count = Field(
        default=0,  # of the recipes that were written before this key, whose hashes stay
        description="Frames attended to on each side, at a cost that grows with the length and "
        "not with its square; 0: all.",
    )

    @model_validator(mode="after")
    def heads_fit(self) -> "AttentionConfig":
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is no multiple of n_heads {self.n_heads}")
        if self.positions == "rotary" and self.d_model // self.n_heads % 2:
            raise ValueError("rotary positions need an even d_model / n_heads")
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError("sinusoidal positions need an even d_model")
        return self


class TransformerConfig(AttentionConfig):
    encoder: Literal["transformer"] = Field(description="Transformer (Vaswani et al. 2017).")
    norm: Literal["pre", "post"] = Field(
        description="Where LayerNorm stands, before or after a module; post diverges when deep."
    )


class ConvolutionConfig(NetworkConfig):
    kernel_size: Width = Field(description="Frames of the convolutions over time; odd.")

    @model_validator(mode="after")
    def kernel_is_odd(self) -> "ConvolutionConfig":
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd to stay centred")
        return self


class ConformerConfig(AttentionConfig, ConvolutionConfig):
    encoder: Literal["conformer"] = Field(description="Conformer (Gulati et al. 2020).")
    norm: Literal["layer", "batch"] = Field(
        description="Normalisation within the convolution module."
    )


class EcapaConfig(ConvolutionConfig):
    encoder: Literal["ecapa"] = Field(description="ECAPA-TDNN (Desplanques et al. 2020).")
    groups: Annotated[int, Field(ge=2, le=MAX_WIDTH)] = Field(
        description="Groups of channels in a Res2 convolution (Gao et al. 2019); they divide "
        "d_model."
    )

    @model_validator(mode="after")
    def groups_fit(self) -> "EcapaConfig":
        if self.d_model % self.groups:
            raise ValueError(f"d_model {self.d_model} is no multiple of groups {self.groups}")
        return self


class MlpConfig(NetworkConfig):
    encoder: Literal["mlp"] = Field(
        description="Fully connected layers over a window of concatenated frames."
    )
    context: Width = Field(description="Frames in the window, with as many on each side; odd.")

    @model_validator(mode="after")
    def context_is_odd(self) -> "MlpConfig":
        if self.context % 2 == 0:
            raise ValueError(f"context {self.context} must be odd to stay centred")
        return self


class RecurrentConfig(NetworkConfig):
    bidirectional: bool = Field(
        description="Half of a layer's units pass over the frames backwards (Schuster and "
        "Paliwal 1997)."
    )

    @model_validator(mode="after")
    def directions_fit(self) -> "RecurrentConfig":
        if self.bidirectional and self.d_model % 2:
            raise ValueError(f"bidirectional layers need an even d_model, not {self.d_model}")
        return self


class RnnConfig(RecurrentConfig):
    encoder: Literal["rnn"] = Field(description="Recurrent network, of tanh units.")
    feedback: Literal["hidden", "output"] = Field(
        description="What a frame gets from the one before: the hidden layer (Elman 1990) or the "
        "output (Jordan 1986)."
    )


class LstmConfig(RecurrentConfig):
    encoder: Literal["lstm"] = Field(description="LSTM (Hochreiter and Schmidhuber 1997).")


class GruConfig(RecurrentConfig):
    encoder: Literal["gru"] = Field(description="Gated recurrent unit (Cho et al. 2014).")


class GraphConfig(NetworkConfig):
    encoder: Literal["graph"] = Field(description="Graph network, whose nodes are the frames.")
    n_heads: Annotated[int, Field(ge=0, le=MAX_WIDTH)] = Field(
        description="Heads that attend along the edges (GAT: Velickovic et al. 2018), they divide "
        "d_model; 0: the normalised mean of a GCN (Kipf and Welling 2017)."
    )
    time_neighbours: Count = Field(description="Frames on each side that a frame has an edge to.")
    feature_neighbours: Count = Field(
        description="Frames beyond them that a frame has an edge to: the most similar ones in what "
        "the layer is given (Wang et al. 2019)."
    )
    residual: bool = Field(
        description="A layer adds to its input; without it frames become alike in deep stacks (Li "
        "et al. 2018)."
    )

    @model_validator(mode="after")
    def heads_fit(self) -> "GraphConfig":
        if self.n_heads and self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is no multiple of n_heads {self.n_heads}")
        return self


AnyNetwork = Annotated[
    TransformerConfig
    | ConformerConfig
    | EcapaConfig
    | MlpConfig
    | RnnConfig
    | LstmConfig
    | GruConfig
    | GraphConfig,
    Field(discriminator="encoder"),
]
