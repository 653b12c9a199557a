"""The Transformer encoder, with LayerNorm before or after its parts."""

from torch import Tensor, nn

from kaggle_hw4.models.attention import SelfAttention, sinusoidal_positions
from kaggle_hw4.recipe import TransformerModel


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward module, each with a residual: (B, T, D) → (B, T, D).

    Post-norm is the original and the sample recipe's (Vaswani et al. 2017); pre-norm keeps the
    residual path clean, so that deep stacks train at lr 1e-3 (Xiong et al. 2020).
    """

    def __init__(self, model: TransformerModel) -> None:
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


class Transformer(nn.Module):
    """(B, T, n_mels) → (B, T, d_model)."""

    def __init__(self, n_mels: int, model: TransformerModel) -> None:
        super().__init__()
        self.prenet = nn.Linear(n_mels, model.d_model)
        self.sinusoidal = model.positions == "sinusoidal"
        self.layers = nn.ModuleList(TransformerLayer(model) for _ in range(model.n_layers))
        # A pre-norm stack leaves its sum unnormalised; a post-norm one has just normalised it.
        self.norm = nn.LayerNorm(model.d_model) if model.norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.prenet(x)
        if self.sinusoidal:
            x = x + sinusoidal_positions(x.shape[1], x.shape[2], x.device)
        for layer in self.layers:
            x = layer(x, mask)
        normed: Tensor = self.norm(x)
        return normed
