"""On which device a model runs, and how much memory there is."""

import gc
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kaggle_hw4.errors import RecipeError, UsageError

NO_MEMORY = ("allocate memory", "out of memory", "size calculation overflowed", "bad alloc")
DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the fastest one there is."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, usable in available.items() if usable))
    if name not in available:
        raise UsageError(f"{name}: a device is one of {', '.join(DEVICES)}", parameter="device")
    if not available[name]:
        raise UsageError(
            f"this machine has no {name}", "leave it out to have one chosen", parameter="device"
        )
    return torch.device(name)


def upload(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """A tensor of `values` on the device, which nothing waits for."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def memory_limit() -> float:
    """Bytes that this process may have: the machine's memory, or less by `ulimit -v`."""
    limits = [math.inf]
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        import resource

        limits += [each for each in resource.getrlimit(resource.RLIMIT_AS) if each > 0]
    return min(limits)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of torch's in the block, and then as many as before: bits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def enough_memory(what: str, remedy: str) -> Iterator[None]:
    """Raise RecipeError where the block needs more memory than the device has."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RecipeError(f"{what} needs more memory than there is", remedy) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python or torch raised `error` for want of memory: what was read is not damaged."""
    torch_says = isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
    return torch_says or isinstance(error, MemoryError | torch.OutOfMemoryError)


def release_memory(device: torch.device) -> None:
    """Give back the CUDA card's memory that nothing uses any more, and begin its peak anew."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has had at a time: of the CUDA card's memory, or of RAM."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
