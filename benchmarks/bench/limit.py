"""What the products of a training step need by themselves: the limit that a step is held against.

The products of one step are recorded as torch dispatches them, forward and backward, with their
shapes and strides, and are then replayed on random numbers with nothing between them. Attention is
two products forward and four backward, whatever computes it; its softmax is no product.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
MATRIX = {aten.mm: (0, 1), aten.bmm: (0, 1), aten.addmm: (1, 2), aten.baddbmm: (1, 2)}


@dataclass(frozen=True)
class Layout:
    """Enough of a tensor to make one like it."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "Layout":
        return cls(tuple(tensor.shape), tuple(tensor.stride()))

    def make(self, dtype: torch.dtype, device: str) -> torch.Tensor:
        size = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        flat = torch.randn(max(size, 1), device=device).to(dtype)
        return flat.as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Product:
    """A matrix product or a convolution; `arguments` are those that are no tensors."""

    kind: str  # linear, convolution, depthwise, attention
    operation: str  # mm, bmm, convolution, convolution_backward
    tensors: tuple[Layout, ...]
    arguments: tuple[Any, ...] = ()

    @property
    def flop(self) -> float:
        first, second = self.tensors[0].shape, self.tensors[1].shape
        if "mm" in self.operation:
            return 2 * math.prod(first) * second[-1]
        if self.operation == "convolution":
            return 2 * math.prod(second) * self.arguments[-1]
        gradient, (_, _, weight) = first, [each.shape for each in self.tensors]
        each = 2 * math.prod(gradient) * math.prod(weight[1:])
        return each * sum(self.arguments[-1][:2])

    def prepare(self, dtype: torch.dtype, device: str) -> Callable[[], object]:
        """A call that makes this product once."""
        a, b, *rest = [layout.make(dtype, device) for layout in self.tensors]
        if self.operation == "convolution":
            *arguments, _ = self.arguments
            return lambda: aten.convolution(a, b, None, *arguments)
        if self.operation == "convolution_backward":
            return lambda: aten.convolution_backward(a, b, rest[0], *self.arguments)
        operation = getattr(torch, self.operation)
        return lambda: operation(a, b)


class Recorder(TorchDispatchMode):
    """Counts the products that are made while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        # In inference mode torch dispatches linear(…) itself: its product is one level below.
        with self:
            result = func.decompose(*args, **(kwargs or {}))
        if result is not NotImplemented:
            return result
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in MATRIX:
            layouts = tuple(Layout.of(args[i]) for i in MATRIX[packet])
            batched = len(layouts[0].shape) == 3
            kind = "attention" if batched else "linear"
            self.products[Product(kind, "bmm" if batched else "mm", layouts)] += 1
        elif packet is aten.convolution:
            self._add_convolution(args, result)
        elif packet is aten.convolution_backward:
            layouts = tuple(Layout.of(each) for each in args[:3])
            kind = "depthwise" if args[9] > 1 else "convolution"
            arguments = (None, *(_plain(each) for each in args[4:11]))
            self.products[Product(kind, "convolution_backward", layouts, arguments)] += 1
        elif "scaled_dot_product" in str(packet):
            self._add_attention(args, backward="backward" in str(packet))
        return result

    def _add_convolution(self, args: Any, result: torch.Tensor) -> None:
        layouts, weight = (Layout.of(args[0]), Layout.of(args[1])), args[1].shape
        flop = result.numel() * math.prod(weight[1:]) / math.prod(weight)
        arguments = (*(_plain(each) for each in args[3:9]), flop)
        kind = "depthwise" if args[8] > 1 else "convolution"
        self.products[Product(kind, "convolution", layouts, arguments)] += 1

    def _add_attention(self, args: Any, backward: bool) -> None:
        query = args[1] if backward else args[0]  # (B, heads, T, d)
        B, heads, T, d = query.shape
        wide = Layout((B * heads, T, d), (T * d, d, 1))
        turned = Layout((B * heads, d, T), (T * d, 1, d))
        scores = Layout((B * heads, T, T), (T * T, T, 1))
        times = 2 if backward else 1  # dV and dQ, dK; and dP
        self.products[Product("attention", "bmm", (wide, turned))] += 1
        self.products[Product("attention", "bmm", (scores, wide))] += 2 * times - 1


@dataclass
class Replay:
    """The products of a step, ready to be made in one precision."""

    calls: list[tuple[Product, int, Callable[[], object]]]
    device: str

    @classmethod
    def of(cls, products: Counter[Product], dtype: torch.dtype, device: str) -> "Replay":
        calls = [(p, count, p.prepare(dtype, device)) for p, count in products.items()]
        return cls(calls, device)

    def seconds(self) -> dict[str, float]:
        """Of each kind of product, all of a step's."""
        total: Counter[str] = Counter()
        for product, count, call in self.calls:
            start = time.perf_counter()
            for _ in range(count):
                call()
            if self.device == "cuda":
                torch.cuda.synchronize()
            total[product.kind] += time.perf_counter() - start
        return dict(total)

    def gflop(self) -> dict[str, float]:
        total: Counter[str] = Counter()
        for product, count, _ in self.calls:
            total[product.kind] += count * product.flop / 1e9
        return dict(total)


def products_of(work: Callable[[], object]) -> Counter[Product]:
    """The products that `work` makes."""
    with Recorder() as recorder:
        work()
    return recorder.products


def seconds_alone(products: Counter[Product], dtype: torch.dtype, device: str) -> float:
    """Of all products, each prepared before its turn: there may be many shapes."""
    total = 0.0
    for product, count in products.items():
        replay = Replay.of(Counter({product: count}), dtype, device)
        if device == "cuda":
            torch.cuda.synchronize()
        total += sum(replay.seconds().values())
    return total


def _plain(value: Any) -> Any:
    """Lists as tuples, so that a product can be counted."""
    return tuple(value) if isinstance(value, Sequence) else value
