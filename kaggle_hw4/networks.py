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

    encoder: str
    count: Parts  # such networks in parallel, from different random starts
    d_model: Width
    n_layers: Parts
    dropout: Rate
    stem: Literal["linear", "convolution"]  # over time and bands, d_model / 4 channels
    subsampling: Literal[1, 2]  # frames in for a frame out of the stem
    aggregation: bool  # the layers' outputs concatenated go to the pooling, not the last alone
    pooling: Literal["mean", "statistics", "self_attention", "attentive_statistics"]
    embedding: Literal["none", "relu", "batch_norm", "batch_norm_linear"]  # pooling → head
    d_embedding: Width
    head: Literal["linear", "cosine"]
    sub_centres: Parts  # of a speaker in a cosine head; the nearest counts

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
    n_heads: Width
    d_ffn: Width  # width of the feed-forward modules
    positions: Literal["none", "sinusoidal", "rotary"]

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
    encoder: Literal["transformer"]
    norm: Literal["pre", "post"]  # where LayerNorm stands; post diverges when deep


class ConvolutionConfig(NetworkConfig):
    kernel_size: Width  # of the convolutions over time, in frames; odd

    @model_validator(mode="after")
    def kernel_is_odd(self) -> "ConvolutionConfig":
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd to stay centred")
        return self


class ConformerConfig(AttentionConfig, ConvolutionConfig):
    encoder: Literal["conformer"]
    norm: Literal["layer", "batch"]  # within the convolution module


class EcapaConfig(ConvolutionConfig):
    encoder: Literal["ecapa"]
    groups: Annotated[int, Field(ge=2, le=MAX_WIDTH)]  # of channels in a Res2 convolution

    @model_validator(mode="after")
    def groups_fit(self) -> "EcapaConfig":
        if self.d_model % self.groups:
            raise ValueError(f"d_model {self.d_model} is no multiple of groups {self.groups}")
        return self


AnyNetwork = Annotated[
    TransformerConfig | ConformerConfig | EcapaConfig, Field(discriminator="encoder")
]
