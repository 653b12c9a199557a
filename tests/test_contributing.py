"""CONTRIBUTING.md's "Add an encoder", followed literally, gives an encoder that works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NARROW

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SETTINGS = [*NARROW, "networks.dropout=0.0"]
BATCH = f"""
import torch
from kaggle_hw4.models.build import build_model
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.training.loss import margin_losses
from kaggle_hw4.workspace import shipped

torch.manual_seed(0)
recipe = read_recipe(shipped("pipelines/variants/average.toml"), {SETTINGS})
model = build_model(recipe, n_speakers=5)
lengths = torch.tensor([50, 31, 8])
x, mask = torch.randn(3, 50, 40), torch.arange(50) < lengths[:, None]
"""
PADDING = """
model.eval()
together = model(x.masked_fill(~mask.unsqueeze(-1), torch.nan), mask)
for i, n in enumerate(lengths):
    alone = model(x[i : i + 1, :n], mask[i : i + 1, :n])
    torch.testing.assert_close(together[:, i], alone[:, 0], atol=1e-5, rtol=0)
"""
STEP = """
losses = margin_losses(model(x, mask)[0], torch.tensor([0, 3, 4]), recipe.loss, margin=None)
losses.mean().backward()
layer = model.networks[0].encoder.layers[0]
assert type(layer).__name__ == "AverageLayer"
assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
"""


def blocks() -> dict[str, tuple[str, str]]:
    """The language and the text of each fenced block below a line that begins with its file."""
    blocks = re.findall(r"^`([\w/.]+)`[^\n]*:\n\n```(\w+)\n(.*?)^```$", GUIDE, re.M | re.S)
    return {path: (language, text) for path, language, text in blocks}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of hw4 in which every block of the guide is written or applied."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("kaggle_hw4", "pipelines", "studies/spaces"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    for path, (language, text) in blocks().items():
        if language == "diff":
            subprocess.run(["git", "apply", "-"], cwd=copy, check=True, input=text, text=True)
        elif language == "toml":
            strong = (copy / "pipelines/variants/strong.toml").read_text(encoding="utf-8")
            recipe = re.sub(r"\[\[networks\]\]\n(?:.+\n)+", text, strong)
            (copy / path).write_text(recipe, encoding="utf-8")
        else:
            (copy / path).write_text(text, encoding="utf-8")
    return copy


def run(code: str, copy: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_guide_names_the_files_of_an_encoder() -> None:
    assert {path: language for path, (language, _) in blocks().items()} == {
        "kaggle_hw4/models/average.py": "python",
        "kaggle_hw4/networks.py": "diff",
        "kaggle_hw4/models/encoders.py": "diff",
        "pipelines/variants/average.toml": "toml",
    }


def test_the_guides_encoder_ignores_padding_and_trains(extended: Path) -> None:
    run(BATCH + PADDING + "model.train()\n" + STEP, extended)


def test_commands_and_make_targets_of_the_guide_exist() -> None:
    from tests.test_docs import check, commands_of

    for line in commands_of(GUIDE):
        if "…" not in line:
            check(line)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)`", GUIDE)) <= targets
