"""The Transformer layer, with LayerNorm before or after its parts."""

from collections.abc import Sequence

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.networks import TransformerConfig
from kaggle_hw4.padding import Mask


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward module, each with a residual: (B, T, D) → (B, T, D).

    Post-norm is the original and the sample recipe's (Vaswani et al. 2017); pre-norm keeps the
    residual path clean, so that deep stacks train at lr 1e-3 (Xiong et al. 2020).
    """

    def __init__(self, config: TransformerConfig, _index: int) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        rotary = config.positions == "rotary"
        self.attention = SelfAttention(
            config.d_model, config.n_heads, config.dropout, rotary, config.window
        )
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.d_model, config.d_ffn),
            nn.ReLU(),
            Dropout(config.dropout),
            nn.Linear(config.d_ffn, config.d_model),
        )
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.residuals: Sequence[Dropout] = nn.ModuleList(  # type: ignore[assignment]
            Dropout(config.dropout) for _ in range(2)
        )

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        drop_attention, drop_feed_forward = self.residuals
        if self.pre_norm:
            x = drop_attention.add(x, self.attention(self.attention_norm(x), mask))
            x = drop_feed_forward.add(x, self.feed_forward(self.feed_forward_norm(x)))
        else:
            x = self.attention_norm(drop_attention.add(x, self.attention(x, mask)))
            x = self.feed_forward_norm(drop_feed_forward.add(x, self.feed_forward(x)))
        return x


def final_norm(config: TransformerConfig) -> nn.Module:
    """A pre-norm stack leaves its sum unnormalised; a post-norm one has just normalised it."""
    return nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
