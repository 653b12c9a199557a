"""The Transformer layer, with LayerNorm before or after its parts."""

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention
from kaggle_hw4.recipe import TransformerModel


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward module, each with a residual: (B, T, D) → (B, T, D).

    Post-norm is the original and the sample recipe's (Vaswani et al. 2017); pre-norm keeps the
    residual path clean, so that deep stacks train at lr 1e-3 (Xiong et al. 2020).
    """

    def __init__(self, model: TransformerModel, _index: int) -> None:
        super().__init__()
        self.pre_norm = model.norm == "pre"
        rotary = model.positions == "rotary"
        self.attention = SelfAttention(model.d_model, model.n_heads, model.dropout, rotary)
        self.attention_norm = nn.LayerNorm(model.d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(model.d_model, model.d_ffn),
            nn.ReLU(),
            nn.Dropout(model.dropout),
            nn.Linear(model.d_ffn, model.d_model),
        )
        self.feed_forward_norm = nn.LayerNorm(model.d_model)
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask))
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        else:
            x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x
