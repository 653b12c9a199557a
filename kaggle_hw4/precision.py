"""In which precision a model computes: chosen once for a run, and kept with it.

Weights, optimizer, normalisation, softmax, pooling, heads and losses are float32 in any case; bf16
and fp16 are those of the large matrix products, under PyTorch's autocast.
"""

import os
import time
from functools import lru_cache

import torch

from kaggle_hw4.errors import UsageError

PRECISIONS = ("auto", "float32", "bf16", "fp16")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TENSOR_CORES = (7, 0)  # the first CUDA cards that multiply fp16 faster than float32
# Times as fast as float32. A CPU without an instruction for bf16 makes 0.6, one with AVX-512's 1.8
# to 2.6 (1.7 times the steps of a full-size Boss), one with AMX 7 to 10: this is far from all of
# them, so that a CPU answers the same every time.
WORTH_IT = 1.3
REPETITIONS = 8  # of the products that are timed


def choose_precision(name: str, device: torch.device) -> str:
    """The precision called `name`; "auto" is that of the variable HW4_PRECISION, or else the
    fastest one of the device. Raises UsageError where the device cannot compute in it.
    """
    if name == "auto":
        name = os.environ.get("HW4_PRECISION", "") or "auto"
    if name not in PRECISIONS:
        allowed = ", ".join(PRECISIONS)
        raise UsageError(f"{name}: a precision is one of {allowed}", parameter="precision")
    if name == "auto":
        return fastest_precision(device)
    if not can_compute(name, device):
        raise UsageError("this card has no bf16", "fp16 is its fast one", parameter="precision")
    return name


def can_compute(name: str, device: torch.device) -> bool:
    """Whether the device can compute in it: a card without bf16 cannot."""
    return name != "bf16" or device.type != "cuda" or cuda_has_bf16()


def fastest_precision(device: torch.device) -> str:
    """bf16 where the device multiplies it natively and fast, fp16 on older CUDA cards with tensor
    cores (a T4), else float32 (a P100, most CPUs).
    """
    if device.type == "cuda":
        older = "fp16" if torch.cuda.get_device_capability(device) >= TENSOR_CORES else "float32"
        return "bf16" if cuda_has_bf16() else older
    if device.type == "cpu":
        return "bf16" if cpu_gain("bf16") > WORTH_IT else "float32"
    return "float32"


def cuda_has_bf16() -> bool:
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


@lru_cache
def cpu_gain(precision: str) -> float:
    """How many times as fast as float32 this CPU multiplies in `precision`; takes 50 ms."""
    seconds: dict[str, list[float]] = {"float32": [], precision: []}
    for _ in range(REPETITIONS):  # the first of each is the slowest: the library prepares itself
        for name, times in seconds.items():
            a, b = torch.ones(1024, 256, dtype=DTYPES[name]), torch.ones(256, 512).to(DTYPES[name])
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
    return min(seconds["float32"]) / min(seconds[precision])


def autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, DTYPES[precision], enabled=precision != "float32")


def make_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """The scaler of the loss, so that no small gradient is 0 in fp16; elsewhere it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
