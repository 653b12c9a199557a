"""What people hand over, mutated: listings, tables, JSON, TOML, ledger lines, journals.

Attempt `number` mutates one file and runs the command that reads it, and for a listing what shows
it after. Each must end well or in a documented error. A file that only another program has written
must give the same figures.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kaggle_hw4.workspace import shipped
from tests.test_listing import CLIENT, PAGE
from tests.torture.chain import CHAIN, PACK, SETTINGS, SUBMIT_FIRST, Reference, Words, timeless_text
from tests.torture.forks import end_orphans, run
from tests.torture.mutations import mutate, rewrite
from tests.torture.report import LOST, WRONG, Tally

LIMIT = 30.0
PIPELINE = """[data]
dataset = "nowhere"
[split]
by = "session"
folds = 2
[[train]]
variant = "boss"
settings = ["networks.d_model=16"]
[submit]
to = "local"
truth = "corpus/truth.csv"
"""
SHOW: Words = ("leaderboard", "show", "--json")
STUDY: Words = ("tune", "show", "boss", "--json")


@dataclass(frozen=True)
class Target:
    """A file to mutate, the commands that read it, and where the chain stands then."""

    file: str
    commands: tuple[Words, ...]
    step: int = -1
    text: str | None = None  # of a file that the chain does not make
    weight: int = 1
    portable: bool = False  # any encoding, any layout


IMPORT = ("leaderboard", "import")
PACKED = ((*PACK, "--json"),)
SAME = 0.2  # the share of attempts on portable files that change nothing but their form
TARGETS = (
    Target("client.csv", ((*IMPORT, "client.csv"), SHOW), text=CLIENT, weight=4,
           portable=True),
    Target("page.txt", ((*IMPORT, "page.txt"), SHOW), text=PAGE, weight=4, portable=True),
    Target("past.csv", ((*IMPORT, "past.csv"), SHOW), text="examples/past_scores.csv", weight=4,
           portable=True),
    Target("corpus/Dataset/metadata.json", PACKED, CHAIN.index(PACK), weight=3, portable=True),
    Target("corpus/Dataset/testdata.json", PACKED, CHAIN.index(PACK), weight=3, portable=True),
    Target("corpus/Dataset/mapping.json", PACKED, CHAIN.index(PACK), weight=3, portable=True),
    Target("corpus/truth.csv", (SUBMIT_FIRST,), weight=2),
    Target("submissions/ledger.jsonl", (SHOW, ("leaderboard", "choose")), weight=4),
    Target("submissions/output_Boss_V1.csv", (SUBMIT_FIRST,), weight=2),
    Target("counts.csv", (("ensemble", "runs", "--dry-run", "--counts", "counts.csv"),),
           text="speaker,count\nid00042,6\nid00060,6\n", weight=2),
    Target("pipeline.toml", (("run", "pipeline.toml"),), text=PIPELINE, weight=3),
    # A fold that does not exist: whatever the recipe asks for is not trained.
    Target("recipe.toml", (("train", "--variant", "./recipe.toml", "--fold", "9"),),
           text="pipelines/variants/champion.toml", weight=3),
    Target("studies/spaces/boss.toml", (("tune", "--variant", "boss", "--fold", "9", *SETTINGS),),
           weight=3),
    Target("studies/boss/journal.log", (STUDY,), weight=2),
    Target("folds/session2.csv", (("train", "--variant", "boss", "--fold", "9"),), weight=2),
    Target("run.json", (("ensemble", "runs", "--dry-run"), ("predict", "runs")), weight=2),
    Target("packed/corpus.json", (("data", "inspect"),), weight=2),
    Target("packed/utterances.csv", (("data", "inspect"),)),
)  # fmt: skip


def fuzz_one(reference: Reference, root: Path, tally: Tally, number: int) -> None:
    """Mutate one file and run what reads it."""
    random = Random(f"{tally.seed} fuzz {number}")
    target = random.choices(TARGETS, [target.weight for target in TARGETS])[0]
    reference.restore(root, target.step)
    path = _path(root, target)
    tally.tried += 1
    if target.portable and random.random() < SAME:
        _compare(root, tally, number, target, path, random)
        return
    path.write_bytes(mutate(path.name, path.read_bytes(), random))
    for words in target.commands:
        ended = run(root, *words, limit=LIMIT)
        end_orphans()
        what = f"{target.file}, hw4 {' '.join(words[:2])}"
        if tally.faulty(ended, number, what):
            return
        if ended.code and not ended.documented:
            tally.fail(LOST, number, f"{what}: an undocumented end, {ended.reason}")
        elif words == SHOW and target.file != "submissions/ledger.jsonl" and ended.code:
            tally.fail(LOST, number, f"{what}: the import spoiled the ledger, {ended.reason}")


def _compare(
    root: Path, tally: Tally, number: int, target: Target, path: Path, random: Random
) -> None:
    """The output with the file as it is, and as another program would have written it."""
    outputs = []
    copy = root.with_name(f"{root.name}.copy")
    shutil.copytree(root, copy)
    for data in (path.read_bytes(), rewrite(path.name, path.read_bytes(), random)):
        shutil.rmtree(root)
        shutil.copytree(copy, root)
        path.write_bytes(data)
        ends = [run(root, *words, limit=LIMIT) for words in target.commands]
        outputs.append((ends[0].code, timeless_text(ends[-1].out)))
    shutil.rmtree(copy)
    if outputs[0] != outputs[1]:
        tally.fail(WRONG, number, f"{target.file} in another form: another output")


def _path(root: Path, target: Target) -> Path:
    """The file that is mutated, written first where the chain makes none."""
    if target.file == "run.json":
        return next(iter(sorted(root.glob("runs/*/*/run.json"))))
    path = root / target.file
    if target.text is not None:
        source = shipped(target.text) if "\n" not in target.text else None
        path.write_text(source.read_text() if source else target.text)
    return path


def campaign(reference: Reference, root: Path, tally: Tally) -> Callable[[int], None]:
    return lambda number: fuzz_one(reference, root, tally, number)
