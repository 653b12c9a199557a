"""Every artifact cut, flipped, emptied, deleted or replaced, and then each command that reads it.

Attempt `number` draws a scene, one of its artifacts and a damage. The command must end in a
documented error, or with the output and the artifacts of the undamaged workspace; or it names what
is broken and shows the rest.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.torture.chain import (
    CHAIN,
    CLEAN,
    ENSEMBLE,
    LEFTOVERS,
    PACK,
    SPLIT,
    SUBMIT_FIRST,
    TRAIN,
    TUNE,
    Reference,
    Words,
    result,
    timeless_text,
)
from tests.torture.forks import Ended, end_orphans, run
from tests.torture.report import LOST, WRONG, Tally
from tests.torture.spoil import DAMAGES

LIMIT = 30.0
BLEND, SHOW = (*ENSEMBLE, "--dry-run"), ("leaderboard", "show")
INSPECT, STUDY, PREDICT = ("data", "inspect"), ("tune", "show", "boss"), ("predict", "runs")
# What a command says of something broken that it leaves out.
NOTICED = re.compile(r"warning: |left out: |not finished|is no longer|unfinished")
SUBMITTED = ("output_Boss_V1.csv", "output_Boss_V2.csv", "ledger.jsonl")

# Scene → how its workspace is made of the chain's, and which artifacts are read by which commands.
READERS: Mapping[str, Mapping[str, tuple[Words, ...]]] = {
    "dataset": {"corpus/Dataset/*.pt": (PACK,), "corpus/Dataset/*.json": (PACK,)},
    "packed": {"packed/*": (PACK, SPLIT, INSPECT)},
    "stopped": {
        "runs/*/fold1-seed0/checkpoint.pt": (TRAIN,),
        "runs/*/fold1-seed0/*": (TRAIN, CLEAN),
    },
    "finished": {
        "packed/*": (BLEND, TRAIN, SUBMIT_FIRST),
        "folds/*": (TRAIN, SPLIT, PREDICT),
        "runs/*/*/*.safetensors": (BLEND, PREDICT),
        "runs/*/*/run.json": (BLEND, PREDICT, TRAIN),
        "runs/*/*/recipe.toml": (BLEND, PREDICT, TRAIN),
        "studies/boss/journal.log": (STUDY, TUNE),
        "studies/boss/finals/*/*": (TUNE,),
        "submissions/ledger.jsonl": (SHOW, SUBMIT_FIRST, ENSEMBLE),
        "submissions/*.csv": (SUBMIT_FIRST, ENSEMBLE),
    },
}


Artifacts = Mapping[str, str]  # path → hash


@dataclass(frozen=True)
class Scene:
    """A workspace, and what its commands give undamaged."""

    folder: Path
    files: Mapping[str, tuple[str, ...]]  # by pattern
    expected: Mapping[Words, tuple[str, Artifacts]]  # output, artifacts


def make_scenes(reference: Reference, root: Path) -> dict[str, Scene]:
    return {name: _scene(reference, root, name) for name in READERS}


def _scene(reference: Reference, root: Path, name: str) -> Scene:
    _arrange(reference, root, name)
    folder = root.with_name(f"{root.name}.{name}")
    shutil.copytree(root, folder)
    files = {
        pattern: tuple(sorted(str(p.relative_to(root)) for p in root.glob(pattern) if p.is_file()))
        for pattern in READERS[name]
    }
    expected = {}
    for words in {words for commands in READERS[name].values() for words in commands}:
        _restore(folder, root)
        ended = run(root, *words, "--json")
        if ended.code:
            raise RuntimeError(f"hw4 {' '.join(words)} fails on the scene {name}: {ended.err}")
        expected[words] = (timeless_text(ended.out), result(root))
    return Scene(folder, files, expected)


def _arrange(reference: Reference, root: Path, name: str) -> None:
    step = {
        "dataset": CHAIN.index(PACK),
        "packed": CHAIN.index(SPLIT),
        "stopped": CHAIN.index(TUNE),
    }
    reference.restore(root, step.get(name, -1))
    if name == "finished":
        shutil.rmtree(root / "corpus" / "Dataset")
    if name == "stopped":  # after its last step, before its weights and logits
        shutil.rmtree(root / "corpus")
        for path in root.glob("runs/*/fold1-seed0/*"):
            if path.suffix == ".safetensors" or path.name == "run.json":
                path.unlink()


def _restore(folder: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(folder, root)


def damage_one(scenes: Mapping[str, Scene], root: Path, tally: Tally, number: int) -> None:
    """Damage one artifact and run one command that reads it."""
    random = Random(f"{tally.seed} damage {number}")
    name = random.choice([scene for scene in READERS for _ in READERS[scene]])
    scene = scenes[name]
    pattern = random.choice(list(READERS[name]))
    file, words = random.choice(scene.files[pattern]), random.choice(READERS[name][pattern])
    kind = random.choice(list(DAMAGES))
    _restore(scene.folder, root)
    DAMAGES[kind](root / file, random)
    what = f"{file} {kind}, hw4 {' '.join(words[:3])} in the scene {name}"
    ended = run(root, *words, "--json", limit=LIMIT)
    end_orphans()
    tally.tried += 1
    if tally.faulty(ended, number, what):
        return
    if ended.code:
        if not ended.documented:
            tally.fail(LOST, number, f"{what}: an undocumented end, {ended.reason}")
        return
    output, artifacts = scene.expected[words]
    if not _noticed(ended):
        out, actual = timeless_text(ended.out), result(root)
        if words == ENSEMBLE and file.startswith("submissions/"):
            out, actual = _renewed(out, actual, artifacts)
        if out != output and not _absent(file, kind):
            tally.fail(WRONG, number, f"{what}: another output")
        elif difference := _difference(artifacts, actual, file):
            tally.fail(WRONG, number, f"{what}: {difference}")


def _noticed(ended: Ended) -> bool:
    return bool(NOTICED.search(ended.err))


def _renewed(out: str, actual: Artifacts, expected: Artifacts) -> tuple[str, Artifacts]:
    """What ensemble printed and wrote, where a new version stands for the damaged one."""
    first, second, ledger = (f"submissions/{name}" for name in SUBMITTED)
    renewed = {first: actual.get(second, expected[first]), ledger: expected[ledger]}
    others = {name: each for name, each in actual.items() if name != second}
    return out.replace("Boss_V2", "Boss_V1"), others | renewed


def _absent(file: str, kind: str) -> bool:
    """Whether nothing is left that could say what is missing: the end of a file that grows."""
    grows = file.endswith(("ledger.jsonl", "journal.log"))
    return grows and kind in ("deleted", "emptied", "truncated")


def _difference(expected: Artifacts, actual: Artifacts, damaged: str) -> str:
    """Artifacts that differ from the undamaged ones, except for the damaged one itself."""
    names = expected.keys() | actual.keys()
    changed = sorted(
        name
        for name in names
        if expected.get(name) != actual.get(name)
        and name != damaged
        and not name.startswith(LEFTOVERS)
    )
    return f"other artifacts: {', '.join(changed[:3])}" if changed else ""


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    scenes = make_scenes(reference, root)
    return lambda number: damage_one(scenes, root, tally, number)
