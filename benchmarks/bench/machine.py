"""The machine and the software of a run, and what the machine's memory and products reach."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from kaggle_hw4.artifact import provenance

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Machine:
    """What the figures depend on."""

    processor: str
    cores: int
    memory_gb: float
    amx: bool  # the processor multiplies bf16 in tiles
    products: str  # of matrices, on one thread
    device: str
    threads: int
    torch: str
    python: str
    system: str
    commit: str
    date: str
    busy: float  # processes that were running when the benchmark began, on average in a minute


def describe(device: str) -> Machine:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    card = torch.cuda.get_device_name() if device == "cuda" else device
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 1,
        memory_gb=round(pages / 2**30, 1),
        amx=torch.cpu._is_amx_tile_supported(),
        products=product_rates(),
        device=card,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        python=platform.python_version(),
        system=platform.platform(),
        commit=str(provenance().get("commit") or commit()),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        busy=round(os.getloadavg()[0], 2),
    )


def processor() -> str:
    """Its name, and its model and stepping, which tell more where a cloud hides the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(reversed([[x.strip() for x in line.split(":")] for line in lines if ":" in line]))
    name = fields.get("model name", platform.machine())
    return f"{name}, family {fields.get('cpu family')}, model {fields.get('model')}"


def commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def copy_rate(megabytes: int, device: str = "cpu") -> float:
    """GB/s of memory, read and written, of a copy that is larger than the caches."""
    source = torch.ones(megabytes * 2**18, device=device)
    target = torch.zeros_like(source)

    def copy() -> None:
        target.copy_(source)
        if device == "cuda":
            torch.cuda.synchronize()

    copy()
    return 2 * source.nbytes / 1e9 / seconds(copy)


def product_rate(dtype: torch.dtype, rows: int = 6400) -> float:
    """GFLOP/s of a product as large as the model's."""
    a, b = torch.randn(rows, 256).to(dtype), torch.randn(256, 768).to(dtype)
    a @ b
    return 2 * rows * 256 * 768 / 1e9 / min(seconds(lambda: a @ b) for _ in range(5))


def product_rates() -> str:
    """In words, for a product of (6400, 256) and (256, 768) on the processor."""
    rates = {name: product_rate(getattr(torch, name)) for name in ("float32", "bfloat16")}
    return ", ".join(f"{rate:,.0f} GFLOP/s in {name}" for name, rate in rates.items())
