"""Multi-head self-attention over the real frames, and positional encodings."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_hw4.models.blocks import Blocks
from kaggle_hw4.models.dropout import Dropout
from kaggle_hw4.padding import Mask


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention (Vaswani et al. 2017), batch first: (B, T, D) → (B, T, D).

    Keys in the padding are never attended to. With `rotary`, queries and keys are turned by their
    position (Su et al. 2021), so that a score depends on the distance of two frames alone. With a
    `window`, a frame attends to so many frames on each side.
    """

    def __init__(
        self, d_model: int, n_heads: int, dropout: float, rotary: bool, window: int = 0
    ) -> None:
        super().__init__()
        self.window = window
        self.n_heads = n_heads
        self.dropout = Dropout(dropout)
        self.rotary = rotary
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        B, T, D = x.shape
        qkv = self.qkv(x).view(B, T, 3, self.n_heads, D // self.n_heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # (B, heads, T, D / heads)
        if self.rotary:
            turn = rotary_angles(T, D // self.n_heads, x.device)
            q, k = rotate(q, turn), rotate(k, turn)
        if 0 < self.window < T - 1:
            blocks = Blocks(T, self.window)
            y = blocks.join(self._attend(*blocks.split(q, k, v, mask)), B)
        else:
            y = self._attend(q, k, v, None if mask is None else mask[:, None, None, :])
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, T, D))
        return out

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask) -> Tensor:
        if q.device.type != "cpu":
            return F.scaled_dot_product_attention(q, k, v, mask, self.dropout.rate)
        # Fused, it makes no T × T matrix of a long utterance; in float32, since its backward is
        # slower in bf16 than the products of a segment are.
        if not self.dropout.rate and (q.dtype == torch.float32 or not self.training):
            with torch.autocast("cpu", enabled=False):
                return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weighted: Tensor = self.dropout(scores.softmax(-1)).to(v.dtype) @ v
        return weighted


def rotary_angles(T: int, d_head: int, device: torch.device) -> Tensor:
    """Angles (T, d_head / 2) in radians: position t at frequency 10000^(-2i / d_head)."""
    i = torch.arange(0, d_head, 2, device=device, dtype=torch.float32)
    t = torch.arange(T, device=device, dtype=torch.float32)
    return torch.outer(t, 10000.0 ** (-i / d_head))


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair (i, i + d/2) of x (..., T, d) by its angle, in float32."""
    a, b = x.float().chunk(2, dim=-1)
    sin, cos = angles.sin(), angles.cos()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)


def sinusoidal_positions(T: int, d_model: int, device: torch.device) -> Tensor:
    """The absolute positions (T, d_model) of Vaswani et al. 2017."""
    angles = rotary_angles(T, d_model, device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
