"""Other people's Conformer blocks against ours."""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.bench import current
from benchmarks.bench.blocks import LucidrainsBlock, TorchaudioBlock
from benchmarks.bench.machine import seconds
from benchmarks.bench.plan import Plan
from benchmarks.bench.results import Part, interleave

HEADS, KERNEL, DROPOUT = 4, 31, 0.2


def measure_blocks(plan: Plan) -> Part:
    """Forward and backward of one Conformer block in training mode."""
    B, T, d, ffn = (plan.block[key] for key in ("B", "T", "d", "ffn"))
    text = (
        f"B {B}, T {T}, d_model {d}, {HEADS} heads, ffn {ffn}, kernel {KERNEL}, dropout {DROPOUT}"
    )
    part = Part("A Conformer block, forward and backward", f"{text}; {BLOCK_TEXT}")
    size = {"d_model": d, "n_heads": HEADS, "d_ffn": ffn, "kernel_size": KERNEL}
    torchaudio = TorchaudioBlock(d, HEADS, ffn, KERNEL, DROPOUT)
    lucidrains = LucidrainsBlock(d, HEADS, ffn, KERNEL, DROPOUT)
    full = torch.ones(B, T, dtype=torch.bool)
    x = torch.randn(B, T, d)
    blocks: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]] = {
        "torchaudio's way": (lambda x: torchaudio(x, ~full), x.transpose(0, 1).contiguous()),
        "lucidrains' way": (lambda x: lucidrains(x, full), x),
        "ours": (current.conformer_block({**size, "dropout": DROPOUT}, B, T), x),
    }
    calls = {
        f"{name}: {precision}": partial(forward_backward, block, given, precision)
        for precision in plan.precisions
        for name, (block, given) in blocks.items()
    }
    measured = interleave(calls, 3 * plan.rounds)
    part.add(measured)
    for precision in plan.precisions:
        for name in ("torchaudio's way", "lucidrains' way"):
            pair = measured[f"{name}: {precision}"], measured[f"ours: {precision}"]
            part.compare(f"{name} ÷ ours, {precision}", *pair, "≥ 1.5")
    return part


def forward_backward(
    block: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, precision: str
) -> float:
    x = x.clone().requires_grad_()

    def both() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = block(x)
        out.backward(torch.ones_like(out))

    return seconds(both)


BLOCK_TEXT = (
    "each way has its own layout and mask: torchaudio's (T, B, D) and a padding mask, lucidrains' "
    "a mask of real frames, ours what a training gives it for batches without padding."
)
