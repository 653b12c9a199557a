"""The Conformer layer (Gulati et al. 2020), with a convolution that padding cannot leak into."""

from collections.abc import Sequence

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.models.depthwise import DepthwiseConvolution
from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.models.norm import MaskedBatchNorm
from kaggle_hw4.networks import ConformerConfig
from kaggle_hw4.padding import Mask, zero_padding


class FeedForward(nn.Sequential):
    """LayerNorm → Linear → SiLU → dropout → Linear: (B, T, D) → (B, T, D)."""

    def __init__(self, d_model: int, d_ffn: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, d_ffn),
            nn.SiLU(),
            Dropout(dropout, inplace=True),
            nn.Linear(d_ffn, d_model),
        )


class Convolution(nn.Module):
    """LayerNorm → pointwise → GLU → depthwise over time → norm → SiLU → pointwise.

    Padding is zeroed after the GLU, where the pointwise bias would have refilled it. The paper's
    norm is BatchNorm ("batch"); LayerNorm's statistics ("layer") are each frame's own.
    """

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        d_model, kernel_size = config.d_model, config.kernel_size
        self.norm = nn.LayerNorm(d_model)
        self.gate = nn.Sequential(nn.Linear(d_model, 2 * d_model), nn.GLU())
        self.depthwise = DepthwiseConvolution(d_model, kernel_size)
        self.batch_norm = MaskedBatchNorm(d_model) if config.norm == "batch" else None
        self.layer_norm = nn.LayerNorm(d_model) if config.norm == "layer" else None
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(d_model, d_model))

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        x = self.depthwise(zero_padding(self.gate(self.norm(x)), mask))
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        if self.batch_norm is not None:
            x = self.batch_norm(zero_padding(x, mask), mask)
        out: Tensor = self.out(x)
        return out


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward: (B, T, D) → (B, T, D).

    As in the paper, dropout stands on every residual and not on the attention's weights, where it
    would keep PyTorch from its fused attention: a third of a float32 step's time on a CPU
    (docs/LOG.md).
    """

    def __init__(self, config: ConformerConfig, _index: int) -> None:
        super().__init__()
        d_model, dropout = config.d_model, config.dropout
        self.feed_forward_in = FeedForward(d_model, config.d_ffn, dropout)
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = SelfAttention(
            d_model, config.n_heads, 0.0, config.positions == "rotary", config.window
        )
        self.convolution = Convolution(config)
        self.feed_forward_out = FeedForward(d_model, config.d_ffn, dropout)
        self.norm = nn.LayerNorm(d_model)
        self.residuals: Sequence[Dropout] = nn.ModuleList(  # type: ignore[assignment]
            Dropout(dropout) for _ in range(4)
        )

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        drop_in, drop_attention, drop_convolution, drop_out = self.residuals
        x = drop_in.add(x, self.feed_forward_in(x), 0.5)
        x = drop_attention.add(x, self.attention(self.attention_norm(x), mask))
        x = drop_convolution.add(x, self.convolution(x, mask))
        x = drop_out.add(x, self.feed_forward_out(x), 0.5)
        normed: Tensor = self.norm(x)
        return normed
