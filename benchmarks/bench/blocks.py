"""Conformer blocks as torchaudio and lucidrains' `conformer` build them, to compare ours with.

The same operations in the same layouts, written anew and short: torchaudio does not load beside a
recent torch. The inner width of lucidrains' convolution is the model's own, as in the others.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TorchaudioBlock(nn.Module):
    """(T, B, D), a boolean padding mask (B, T) → (T, B, D): torchaudio.models.conformer's layer."""

    def __init__(self, d: int, heads: int, ffn: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.ffn_in = feed_forward(d, ffn, dropout)
        self.attention_norm = nn.LayerNorm(d)
        self.attention = nn.MultiheadAttention(d, heads, dropout=dropout)
        self.attention_dropout = nn.Dropout(dropout)
        self.convolution_norm = nn.LayerNorm(d)
        self.convolution = nn.Sequential(
            nn.Conv1d(d, 2 * d, 1),
            nn.GLU(dim=1),
            nn.Conv1d(d, d, kernel, padding=kernel // 2, groups=d),
            nn.BatchNorm1d(d),
            nn.SiLU(),
            nn.Conv1d(d, d, 1),
            nn.Dropout(dropout),
        )
        self.ffn_out = feed_forward(d, ffn, dropout)
        self.norm = nn.LayerNorm(d)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        x = 0.5 * self.ffn_in(x) + x
        y = self.attention_norm(x)
        y, _ = self.attention(y, y, y, key_padding_mask=padding, need_weights=False)
        x = self.attention_dropout(y) + x
        y = self.convolution_norm(x.transpose(0, 1)).transpose(1, 2)
        x = x + self.convolution(y).transpose(1, 2).transpose(0, 1)
        x = 0.5 * self.ffn_out(x) + x
        out: Tensor = self.norm(x)
        return out


def feed_forward(d: int, ffn: int, dropout: float) -> nn.Sequential:
    first, last = nn.Linear(d, ffn), nn.Linear(ffn, d)
    return nn.Sequential(
        nn.LayerNorm(d), first, nn.SiLU(), nn.Dropout(dropout), last, nn.Dropout(dropout)
    )


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class RelativeAttention(nn.Module):
    """einsum attention with the relative positions of Shaw et al. 2018, as lucidrains has it."""

    def __init__(self, d: int, heads: int, dropout: float, max_distance: int = 512) -> None:
        super().__init__()
        self.heads, self.scale, self.max_distance = heads, (d // heads) ** -0.5, max_distance
        self.to_q = nn.Linear(d, d, bias=False)
        self.to_kv = nn.Linear(d, 2 * d, bias=False)
        self.to_out = nn.Linear(d, d)
        self.positions = nn.Embedding(2 * max_distance + 1, d // heads)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = (
            each.view(B, T, self.heads, -1).transpose(1, 2)
            for each in (self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        )
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * self.scale
        t = torch.arange(T, device=x.device)
        distance = (t[:, None] - t[None, :]).clip(-self.max_distance, self.max_distance)
        places = self.positions(distance + self.max_distance).to(q)  # (T, T, D / heads)
        scores = scores + torch.einsum("bhnd,nrd->bhnr", q, places) * self.scale
        allowed = mask[:, None, :, None] * mask[:, None, None, :]
        scores.masked_fill_(~allowed, -torch.finfo(scores.dtype).max)
        weights = self.dropout(scores.softmax(dim=-1))
        mixed = torch.einsum("bhij,bhjd->bhid", weights, v)
        out: Tensor = self.to_out(mixed.transpose(1, 2).reshape(B, T, D))
        return out


class LucidrainsConvolution(nn.Module):
    def __init__(self, d: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.widen, self.narrow = nn.Conv1d(d, 2 * d, 1), nn.Conv1d(d, d, 1)
        self.padding = (kernel // 2, kernel // 2 - (kernel + 1) % 2)
        self.depthwise = nn.Conv1d(d, d, kernel, groups=d)
        self.batch_norm, self.swish = nn.BatchNorm1d(d), Swish()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out, gate = self.widen(self.norm(x).transpose(1, 2)).chunk(2, dim=1)
        x = self.depthwise(F.pad(out * gate.sigmoid(), self.padding))
        x = self.narrow(self.swish(self.batch_norm(x))).transpose(1, 2)
        dropped: Tensor = self.dropout(x)
        return dropped


class LucidrainsBlock(nn.Module):
    """(B, T, D), a boolean mask of real frames (B, T) → (B, T, D)."""

    def __init__(self, d: int, heads: int, ffn: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.ffn_norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2))
        self.ffns = nn.ModuleList(
            nn.Sequential(
                nn.Linear(d, ffn),
                Swish(),
                nn.Dropout(dropout),
                nn.Linear(ffn, d),
                nn.Dropout(dropout),
            )
            for _ in range(2)
        )
        self.attention_norm, self.norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = RelativeAttention(d, heads, dropout)
        self.convolution = LucidrainsConvolution(d, kernel, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.ffns[0](self.ffn_norms[0](x)) * 0.5 + x
        x = self.attention(self.attention_norm(x), mask) + x
        x = self.convolution(x) + x
        x = self.ffns[1](self.ffn_norms[1](x)) * 0.5 + x
        out: Tensor = self.norm(x)
        return out
