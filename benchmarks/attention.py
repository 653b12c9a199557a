"""Full and truncated self-attention: time and memory against the length of an utterance.

    python benchmarks/attention.py [--device cuda] [--window 32]

One layer's attention of zoo/truncated (d_model 224, 4 heads) on one utterance, as in training
(dropout on the weights, forward and backward) and as in prediction. Each in a process of its own,
of one thread: seconds are the best of some, of the processor on a CPU; memory is what the process
took at the most beyond what it had before. 7,193 frames are the longest utterance of the
competition.
"""

import argparse
import math
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import torch

from kaggle_hw4.models.attention import SelfAttention

LENGTHS = (450, 900, 1800, 3600, 7193)
REPEATS = 3
MIB = 2**20


@dataclass(frozen=True)
class Case:
    window: int  # 0: full attention
    training: bool
    frames: int
    device: str


@dataclass(frozen=True)
class Measured:
    seconds: float
    memory: float  # MiB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--lengths", type=int, nargs="*", default=LENGTHS)
    arguments = parser.parse_args()
    print("| | frames | seconds | MiB |\n|---|---|---|---|")
    for training in (True, False):
        for window in (0, arguments.window):
            cases = [Case(window, training, T, arguments.device) for T in arguments.lengths]
            print("\n".join(rows(cases, [in_process(case) for case in cases])), flush=True)


def rows(cases: list[Case], results: list[Measured]) -> list[str]:
    """A line for each length, and how time and memory grow over the last two doublings."""
    first = cases[0]
    name = f"window {first.window}" if first.window else "full"
    name += ", training" if first.training else ", prediction"
    lines = [
        f"| {name} | {case.frames:,} | {result.seconds:.4f} | {result.memory:,.1f} |"
        for case, result in zip(cases, results, strict=True)
    ]
    last = min(3, len(cases))
    growth = math.log(cases[-1].frames / cases[-last].frames)
    time_exponent, memory_exponent = (
        math.log(max(getattr(results[-1], part), 1e-9) / max(getattr(results[-last], part), 1e-9))
        / growth
        for part in ("seconds", "memory")
    )
    return [*lines, f"| {name}: exponent | | {time_exponent:.2f} | {memory_exponent:.2f} |"]


def in_process(case: Case) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def measure(case: Case) -> Measured:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dropout = 0.2 if case.training else 0.0
    attention = SelfAttention(224, 4, dropout, rotary=False, window=case.window)
    attention.to(case.device).train(case.training)
    run(attention, Case(case.window, case.training, 100, case.device))  # prepares the kernels
    before = peak(case.device)
    seconds = [run(attention, case) for _ in range(REPEATS)]
    return Measured(min(seconds), (peak(case.device) - before) / MIB)


def run(attention: SelfAttention, case: Case) -> float:
    x = torch.randn(1, case.frames, 224, device=case.device, requires_grad=case.training)
    synchronise(case.device)
    clock = time.process_time if case.device == "cpu" else time.perf_counter
    begin = clock()
    with torch.set_grad_enabled(case.training):
        y = attention(x, None)
        if case.training:
            y.square().mean().backward()
    synchronise(case.device)
    return clock() - begin


def synchronise(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def peak(device: str) -> int:
    """The most bytes so far: of the process, or on the device."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
