"""What a network can be made of: a config for every encoder, by an explicit table.

Free of torch, so that a recipe is read in no time. An encoder is a config here, a layer in
`models/` and a row in `models.encoders.ENCODERS`; CONTRIBUTING.md shows how to add one.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kaggle_hw4.settings import MAX_WIDTH, Parts, Rate, Section, Width

POOLED_MOMENTS = {"mean": 1, "statistics": 2, "self_attention": 1, "attentive_statistics": 2}


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
    pooling: Literal["mean", "statistics", "self_attention", "attentive_statistics"] = Field(
        description="From frames to an utterance (Snyder et al. 2017, Safari et al. 2020, "
        "Okabe et al. 2018)."
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


AnyNetwork = Annotated[
    TransformerConfig | ConformerConfig | EcapaConfig, Field(discriminator="encoder")
]
