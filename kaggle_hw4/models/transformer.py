"""The Transformer layer, with LayerNorm before or after its parts."""

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.networks import TransformerConfig


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward module, each with a residual: (B, T, D) → (B, T, D).

    Post-norm is the original and the sample recipe's (Vaswani et al. 2017); pre-norm keeps the
    residual path clean, so that deep stacks train at lr 1e-3 (Xiong et al. 2020).
    """

    def __init__(self, config: TransformerConfig, _index: int) -> None:
        super().__init__()
        self.pre_norm = config.norm == "pre"
        rotary = config.positions == "rotary"
        self.attention = SelfAttention(config.d_model, config.n_heads, config.dropout, rotary)
        self.attention_norm = nn.LayerNorm(config.d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.d_model, config.d_ffn),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_ffn, config.d_model),
        )
        self.feed_forward_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask))
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x


def final_norm(config: TransformerConfig) -> nn.Module:
    """A pre-norm stack leaves its sum unnormalised; a post-norm one has just normalised it."""
    return nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
