"""Packing, opening and splitting as many utterances as there are, against disk and memory."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.bench.files import OfficialFolder, disk_rates, read_files, remove
from benchmarks.bench.machine import ROOT, copy_rate
from benchmarks.bench.plan import Plan
from benchmarks.bench.results import Measurement, Part
from benchmarks.bench.stage import measure

Samples = dict[str, list[float]]


def measure_corpus(plan: Plan, dataset: OfficialFolder) -> Part:
    """Every stage in turn, in processes of their own, until there are samples enough."""
    files, frames = len(dataset.rows), dataset.bytes / 1e9
    part = Part(f"Packing, opening and splitting {files:,} utterances", TEXT)
    part.text += f" The files hold {frames:.2f} GB of frames, which are packed as float16."
    samples: Samples = defaultdict(list)
    workspace, start = plan.files / "workspace", time.monotonic()
    for done in range(plan.rounds):
        if done >= 2 and time.monotonic() - start > plan.patience:
            break
        one_round(dataset, workspace, plan, samples)
    remove(workspace)
    units = {"rate": "GB/s", "memory": "GB"}
    for name, values in samples.items():
        unit = next((unit for word, unit in units.items() if word in name), "s")
        part.measurements.append(Measurement(name, unit, tuple(values)))
    add_shares(part, dataset)
    return part


def one_round(dataset: OfficialFolder, workspace: Path, plan: Plan, samples: Samples) -> None:
    remove(workspace)
    workspace.mkdir(parents=True)
    samples["reading the files alone"].append(read_files(dataset))
    written, read = disk_rates(workspace, plan.rate_megabytes)
    samples["disk: rate of writing, with fsync"].append(written)
    samples["disk: rate of reading"].append(read)
    samples["memory: rate of a copy"].append(copy_rate(plan.rate_megabytes))
    measure_stage("pack", "packing", dataset, workspace, plan, samples)
    before = stamps(workspace)
    measure_stage("pack", "packing again", dataset, workspace, plan, samples)
    if stamps(workspace) != before:
        raise AssertionError("the second pack has written")
    measure_stage("open", "opening", dataset, workspace, plan, samples)
    measure_stage("channels", "channel description", dataset, workspace, plan, samples)
    measure_stage("near-duplicates", "near-duplicate search", dataset, workspace, plan, samples)
    measure_stage("split", "splitting", dataset, workspace, plan, samples)


def measure_stage(
    stage: str,
    name: str,
    dataset: OfficialFolder,
    workspace: Path,
    plan: Plan,
    samples: Samples,
) -> None:
    """Run a stage in a process of its own, and note what it took."""
    result = run_stage(stage, dataset.path, workspace, plan)
    samples[name].append(result["seconds"])
    samples[f"{name}: memory at most"].append(result["memory_gb"])


def run_stage(stage: str, dataset: Path, workspace: Path, plan: Plan) -> dict[str, float]:
    if plan.in_process:
        return measure(stage, dataset, workspace)
    command = [sys.executable, "-m", "benchmarks.bench.stage", stage, str(dataset), str(workspace)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def stamps(workspace: Path) -> dict[str, int]:
    """When each file of the workspace was written."""
    return {str(p): p.stat().st_mtime_ns for p in workspace.rglob("*") if p.is_file()}


def add_shares(part: Part, dataset: OfficialFolder) -> None:
    """What the disk or the memory by itself would need, as a share of what each stage takes."""
    measured = {m.name: m for m in part.measurements}
    packed, training = dataset.bytes / 2 / 1e9, dataset.training_bytes
    reading = measured["reading the files alone"].samples
    writing = [packed / rate for rate in measured["disk: rate of writing, with fsync"].samples]
    both = [a + b for a, b in zip(reading, writing, strict=True)]
    opening = [packed / rate for rate in measured["disk: rate of reading"].samples]
    copying = measured["memory: rate of a copy"].samples
    needs = {
        "packing": Measurement("reading the files and writing the frames", "s", tuple(both)),
        "opening": Measurement("reading the packed frames from the disk", "s", tuple(opening)),
        "channel description": in_memory("all frames", dataset.bytes, copying),
        "near-duplicate search": in_memory("the training frames", training, copying),
    }
    part.measurements += needs.values()
    for name, need in needs.items():
        giver = "memory" if "copying" in need.name else "disk"
        part.compare(f"{name}: share of the {giver}'s rate", need, measured[name])
    part.compare("packing again ÷ packing", measured["packing again"], measured["packing"])
    part.compare("splitting ÷ opening", measured["splitting"], measured["opening"])


def in_memory(what: str, size: int, rates: tuple[float, ...]) -> Measurement:
    """The seconds to copy `size` bytes in memory: each is read and written."""
    seconds = tuple(2 * size / 1e9 / rate for rate in rates)
    return Measurement(f"copying {what} as float32 in memory", "s", seconds)


TEXT = (
    "Each in a process of its own, from imported modules to its end; memory is the process's "
    "largest resident set. The official files are in the page cache, as after unpacking them; the "
    "disk's rates are those of a file in the same folder. Opening reads from the page cache, so it "
    "may be faster than the disk; it hashes them. Channels are described while packing and "
    "near-duplicates sought while splitting; here both are alone, from an opened corpus. The "
    "second pack is checked to write nothing."
)
