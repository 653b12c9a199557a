"""Truncated self-attention in linear time and memory: blocks of queries, each with the keys around
it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kaggle_hw4.padding import Mask

SMALLEST = 32  # queries of a block: products of fewer are not worth a kernel


@dataclass(frozen=True)
class Blocks:
    """T frames as blocks of queries, for a `window` of frames on each side of each.

    A block of S queries needs S + 2 · window keys: S is the window, or SMALLEST. So the cost grows
    with T · window, and no T × T matrix is made.
    """

    T: int
    window: int

    @property
    def size(self) -> int:
        return max(self.window, SMALLEST)

    @property
    def count(self) -> int:
        return -(-self.T // self.size)

    @property
    def spare(self) -> int:
        """Queries of the last block that are no frames."""
        return self.count * self.size - self.T

    def split(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Mask
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From q, k, v (B, heads, T, d) and mask (B, T) to those of the blocks, as a batch of
        B · count; their mask (B · count, 1, size, keys) is true where a query attends to a key.
        """
        B, heads, _, d = q.shape
        blocks = F.pad(q, (0, 0, 0, self.spare)).view(B, heads, self.count, self.size, d)
        queries = blocks.transpose(1, 2).flatten(0, 1)
        keys, values = (self._around(part).permute(0, 2, 1, 4, 3).flatten(0, 1) for part in (k, v))
        return queries, keys, values, self._allowed(mask, B, q.device)

    def join(self, y: Tensor, B: int) -> Tensor:
        """From the blocks' y (B · count, heads, size, d) to (B, heads, T, d)."""
        blocks = y.view(B, self.count, *y.shape[1:]).transpose(1, 2)
        return blocks.flatten(2, 3)[:, :, : self.T]

    def _around(self, x: Tensor) -> Tensor:
        """The keys around each block of x (B, heads, T, d): (B, heads, count, d, keys)."""
        padded = F.pad(x, (0, 0, self.window, self.window + self.spare))
        return padded.unfold(2, self.size + 2 * self.window, self.size)

    def _allowed(self, mask: Mask, B: int, device: torch.device) -> Tensor:
        query = torch.arange(self.size, device=device).unsqueeze(1) + self.window
        key = torch.arange(self.size + 2 * self.window, device=device)
        near = (query - key).abs() <= self.window
        real = torch.ones(1, self.T, dtype=torch.bool, device=device) if mask is None else mask
        padded = F.pad(real, (self.window, self.window + self.spare))
        around = padded.unfold(1, len(key), self.size).unsqueeze(2)  # (B, count, 1, keys)
        # A query that is no frame attends to itself: without any key it would be NaN.
        allowed = near & around | (query == key)
        return allowed.expand(B, -1, -1, -1).flatten(0, 1).unsqueeze(1)
