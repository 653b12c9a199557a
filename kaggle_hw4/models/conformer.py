"""The Conformer layer (Gulati et al. 2020), with a convolution that padding cannot leak into."""

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.models.norm import MaskedBatchNorm
from kaggle_hw4.networks import ConformerConfig


class FeedForward(nn.Sequential):
    """LayerNorm → Linear → SiLU → Linear, with dropout: (B, T, D) → (B, T, D)."""

    def __init__(self, d_model: int, d_ffn: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(d_model),
            nn.Linear(d_model, d_ffn),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(d_ffn, d_model),
            nn.Dropout(dropout),
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
        # As a 2-D convolution on the (B, T, D) layout, which is channels-last already, this is
        # bit-identical to Conv1d and three times faster on a CPU.
        self.depthwise = nn.Conv2d(
            d_model, d_model, (1, kernel_size), padding=(0, kernel_size // 2), groups=d_model
        )
        self.batch_norm = MaskedBatchNorm(d_model) if config.norm == "batch" else None
        self.layer_norm = nn.LayerNorm(d_model) if config.norm == "layer" else None
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(d_model, d_model), nn.Dropout(config.dropout))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.gate(self.norm(x)).masked_fill(~mask.unsqueeze(-1), 0)
        x = self.depthwise(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        if self.batch_norm is not None:
            x = self.batch_norm(x.masked_fill(~mask.unsqueeze(-1), 0), mask)
        out: Tensor = self.out(x)
        return out


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward: (B, T, D) → (B, T, D).

    As in the paper, dropout stands on every residual and not on the attention's weights, where it
    would keep PyTorch from its fused attention: a third of a step's time on a CPU (docs/LOG.md).
    """

    def __init__(self, config: ConformerConfig, _index: int) -> None:
        super().__init__()
        d_model, dropout = config.d_model, config.dropout
        self.feed_forward_in = FeedForward(d_model, config.d_ffn, dropout)
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = SelfAttention(
            d_model, config.n_heads, dropout=0.0, rotary=config.positions == "rotary"
        )
        self.dropout = nn.Dropout(dropout)
        self.convolution = Convolution(config)
        self.feed_forward_out = FeedForward(d_model, config.d_ffn, dropout)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + 0.5 * self.feed_forward_in(x)
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.convolution(x, mask)
        x = x + 0.5 * self.feed_forward_out(x)
        normed: Tensor = self.norm(x)
        return normed
