"""The chain from nothing to a scored submission on two tiny speakers, and what it must end in."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.forks import Ended, run
from tests.torture.operations import Operations

TINY = (
    "networks.count=1", "predict.spreading_neighbours=0", "predict.self_training=false",
    "networks.d_model=8",
    "networks.n_layers=1", "networks.d_embedding=8", "networks.n_heads=2", "networks.d_ffn=8",
    "segments.frames=24", "segments.batch_size=4", "schedule.steps=6", "schedule.warmup_steps=1",
    "schedule.validate_every=2", "loss.margin_warmup_steps=0",
)  # fmt: skip
SETTINGS = tuple(word for setting in TINY for word in ("-s", setting))
SPACE = '[optimizer.learning_rate]\ntype = "float"\nlow = 2e-4\nhigh = 5e-2\nlog = true\n'

LISTING = "file,private,public\noutput_Sent_V1.csv,0.5,0.75\noutput_Sent_V2.csv,,0.625\n"

Words = tuple[str, ...]
SYNTH: Words = ("data", "synth", "corpus", "--speakers", "2", "--frames", "91")
PACK: Words = ("data", "pack", "corpus")
SPLIT: Words = ("split", "--folds", "2", "--by", "session")
TRAIN: Words = ("train", "--variant", "boss", "--folds", "all", *SETTINGS)
TUNE: Words = ("tune", "--variant", "boss", "--trials", "3", "--finalists", "1", *SETTINGS)
ENSEMBLE: Words = ("ensemble", "runs")
SUBMIT: Words = ("submit", "--to", "local", "--truth", "corpus/truth.csv")
REPACK: Words = (*PACK, "--replace")
PREDICT: Words = ("predict", "runs")
CLEAN: Words = ("runs", "clean", "--yes")
SUBMIT_FIRST: Words = (*SUBMIT, "Boss_V1")
IMPORT: Words = ("leaderboard", "import", "listing.csv")
RECORD: Words = ("leaderboard", "record", "Sent_V2", "--private", "0.5")
CHAIN = (
    SYNTH, PACK, REPACK, SPLIT, TRAIN, TUNE, PREDICT, CLEAN, ENSEMBLE, SUBMIT_FIRST, IMPORT, RECORD,
)  # fmt: skip

TIMES = {"at", "after", "seal", "seconds", "memory", "made_by", "commit", "how", "new", "sources"}
# What is deleted last of all, and by the next command where that fails.
LEFTOVERS = ("packed.old", "packed.new", "studies/boss/trials")
UNCOMPARED = ("checkpoint.pt", "worker.log", "journal.log", ".lock")


@dataclass(frozen=True)
class Cost:
    """What a command takes undisturbed: operations on files, and seconds."""

    operations: int
    seconds: float


@dataclass(frozen=True)
class Reference:
    """The undisturbed chain: the workspace before and after each command."""

    snapshots: tuple[Path, ...]  # before command 0, 1, …, and after the last
    results: tuple[Mapping[str, str], ...]  # the same, as `result` gives them
    costs: Mapping[Words, Cost]

    def restore(self, root: Path, step: int = -1) -> None:
        """Make `root` what it was before command `step`; -1: after the last."""
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.snapshots[step], root, symlinks=True)

    def differences(self, root: Path, step: int = -1, leftovers: tuple[str, ...] = ()) -> str:
        """How `root` differs from what it was before command `step`; empty where it does not.

        What begins with one of `leftovers` may be there, too.
        """
        ours, expected = result(root), self.results[step]
        missing = sorted(expected.keys() - ours.keys())
        added = sorted(k for k in ours.keys() - expected.keys() if not k.startswith(leftovers))
        other = sorted(k for k in expected.keys() & ours.keys() if ours[k] != expected[k])
        parts = (("missing", missing), ("added", added), ("other bytes", other))
        return "; ".join(f"{what}: {', '.join(names[:3])}" for what, names in parts if names)

    def is_done(self, root: Path, step: int, ended: Ended) -> bool:
        """Whether command `step` has done its work, or says that it was done before."""
        again = ended.documented and "exists already" in ended.err
        return ended.code == 0 or (again and not self.differences(root, step + 1))


def new_workspace(root: Path) -> None:
    """An empty workspace with the space that is searched and the list that is imported."""
    shutil.rmtree(root, ignore_errors=True)
    space = root / "studies" / "spaces" / "boss.toml"
    space.parent.mkdir(parents=True)
    space.write_text(SPACE)
    (root / "listing.csv").write_text(LISTING)


def undisturbed(root: Path) -> Reference:
    """Run the chain in `root`, with a snapshot beside it before and after each command."""
    new_workspace(root)
    snapshots, results, costs = [], [], {}
    for step in range(len(CHAIN) + 1):
        snapshots.append(root.with_name(f"{root.name}.before{step}"))
        shutil.copytree(root, snapshots[-1], symlinks=True)
        results.append(result(root))
        for words in CHAIN[step : step + 1]:
            operations, begun = Operations(root), time.monotonic()
            ended = run(root, *words, prepare=operations.install)
            if ended.code:
                raise RuntimeError(f"hw4 {' '.join(words)} fails undisturbed: {ended.err}")
            costs[words] = Cost(operations.count, time.monotonic() - begun)
    return Reference(tuple(snapshots), tuple(results), costs)


def result(root: Path) -> dict[str, str]:
    """The hash of every artifact, by its path; tables of events without their times."""
    hashes = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden and path.name not in UNCOMPARED:
            hashes[name] = hashlib.sha256(comparable(path)).hexdigest()[:12]
    return hashes


def comparable(path: Path) -> bytes:
    """The bytes of an artifact without the times and the machine in it."""
    data = path.read_bytes()
    try:
        return _comparable(path, data)
    except ValueError:  # torn
        return data


def _comparable(path: Path, data: bytes) -> bytes:
    if path.suffix == ".jsonl":
        lines = [
            line for line in data.splitlines() if _is_json(line) or path.name != "ledger.jsonl"
        ]
        return json.dumps([_timeless(json.loads(line)) for line in lines], sort_keys=True).encode()
    if path.name in ("run.json", "corpus.json"):
        return json.dumps(_timeless(json.loads(data)), sort_keys=True).encode()
    return data


def _is_json(line: bytes) -> bool:
    """Whether a line of the ledger is whole: one that a fault has torn stays, and is named."""
    with suppress(ValueError):
        return isinstance(json.loads(line), dict)
    return False


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if key not in TIMES}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def timeless_text(out: str) -> str:
    """What a command printed as JSON, without times."""
    with suppress(ValueError):
        return json.dumps(_timeless(json.loads(out)), sort_keys=True)
    return out
