"""Writes a small workspace with every format of hw4, and what each reader says of it.

    python -m tests.release_0_3.make FOLDER     # such as tests/release_0_4

FOLDER/workspace holds a dataset, a corpus, a fold table, a finished and an unfinished run, a study,
submissions and a ledger; FOLDER/expected.json the figures that tests/test_release.py compares.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.workspace import Workspace
from tests.test_release import READERS, figures

ROOT = Path(__file__).parents[2]
SIZES = {"sessions": 2, "utterances": 4, "test_sessions": 1, "test_utterances": 1}
TINY = (
    "networks.count=1", "predict.spreading_neighbours=0", "networks.d_model=4",
    "networks.n_layers=1", "networks.d_embedding=4", "networks.n_heads=2", "networks.d_ffn=4",
    "networks.kernel_size=3", "segments.frames=12", "segments.batch_size=4", "schedule.steps=4",
    "schedule.warmup_steps=1", "schedule.validate_every=2", "loss.margin_warmup_steps=0",
)  # fmt: skip
LARGEST = 300_000  # bytes
SETTINGS = [word for setting in TINY for word in ("-s", setting)]
SPACE = '[optimizer.learning_rate]\ntype = "float"\nlow = 2e-4\nhigh = 1e-3\nlog = true\n'
LISTING = "file,private,public\noutput_Old_V1.csv,0.5,0.75\noutput_Old_V2.csv,,0.625\n"

CHAIN = (
    ("data", "pack", "corpus"),
    ("split", "--folds", "2", "--by", "session"),
    ("train", "--variant", "boss", "--folds", "all", *SETTINGS),
    ("tune", "--variant", "boss", "--trials", "2", "--finalists", "1", *SETTINGS),
    ("ensemble", "runs"),
    ("submit", "--to", "local", "--truth", "corpus/truth.csv"),
    ("leaderboard", "import", "listing.csv"),
    ("leaderboard", "record", "Old_V2", "--private", "0.5"),
)


def hw4(workspace: Path, *words: str) -> None:
    command = [sys.executable, "-m", "kaggle_hw4", *words]
    paths = {"HW4_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT)}
    environment = os.environ | paths | {"OMP_NUM_THREADS": "1", "HW4_PRECISION": "float32"}
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"hw4 {' '.join(words[:3])}: {done.stderr}")


def main(folder: Path) -> None:
    workspace = folder.resolve() / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    write_corpus(workspace / "corpus", speakers=2, frames=24, **SIZES)
    space = workspace / "studies" / "spaces" / "boss.toml"
    space.parent.mkdir(parents=True)
    space.write_text(SPACE)
    listing = workspace / "listing.csv"
    listing.write_text(LISTING)
    for words in CHAIN:
        hw4(workspace, *words)
    listing.unlink()
    # Fold 1 becomes a training that was killed after its last step.
    for path in workspace.glob("runs/*/fold1-seed0/*"):
        if path.suffix == ".safetensors" or path.name in ("run.json", ".lock"):
            path.unlink()
    expected = {reader: figures(reader, Workspace(workspace)) for reader in READERS}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    # The dataset is the competition's format, and large.
    shutil.rmtree(workspace / "corpus" / "Dataset")
    for pattern in ("*.lock", "worker.log", "fold0-seed0/checkpoint.pt"):
        for path in workspace.rglob(pattern):
            path.unlink()
    size = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
    if size > LARGEST:
        raise RuntimeError(f"{size:,} bytes are too many for the repository")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
