"""A stage of the data in a process of its own: its time, and its memory at its largest.

    python -m benchmarks.bench.stage pack|open|channels|near-duplicates|split DATASET WORKSPACE

Prints {"seconds", "processor_seconds", "memory_gb"} as JSON; importing the package is not counted,
nor is opening the corpus for the channels and the near-duplicates.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from kaggle_hw4.data.channel import describe_channel
from kaggle_hw4.data.corpus import open_corpus, pack
from kaggle_hw4.data.duplicates import find_near_duplicates
from kaggle_hw4.progress import no_bar
from kaggle_hw4.stages.split import split
from kaggle_hw4.workspace import Workspace


def prepare(stage: str, dataset: Path, workspace: Workspace) -> Callable[[], object]:
    """What runs the stage."""
    if stage == "pack":
        return lambda: pack(dataset, workspace.corpus)
    if stage == "open":
        return lambda: open_corpus(workspace.corpus)
    if stage == "split":
        return lambda: split(workspace, "session", 5, 0, no_bar)
    corpus = open_corpus(workspace.corpus)
    if stage == "channels":
        return lambda: [
            describe_channel(corpus.features(i).numpy()) for i in range(len(corpus.ids))
        ]
    speakers = [np.flatnonzero(corpus.labels == label) for label in range(len(corpus.speakers))]
    return lambda: [find_near_duplicates(corpus, rows) for rows in speakers]


def memory_at_most() -> float:
    """GB of this process; on Linux, ru_maxrss begins with that of the process that started it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 2**20


def measure(stage: str, dataset: Path, folder: Path) -> dict[str, float]:
    run = prepare(stage, dataset, Workspace(folder))
    start, processor = time.perf_counter(), time.process_time()
    run()
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - processor,
        "memory_gb": memory_at_most(),
    }


def main(stage: str, dataset: str, folder: str) -> None:
    for module in ("torch", "pandas", "sklearn.cluster", "scipy.cluster.hierarchy"):
        import_module(module)
    print(json.dumps(measure(stage, Path(dataset), Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
