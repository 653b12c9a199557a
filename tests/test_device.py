"""Memory: what a model needs is known before it is built."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kaggle_hw4.data.corpus import Corpus
from kaggle_hw4.data.folds import Folds
from kaggle_hw4.device import memory_limit
from kaggle_hw4.errors import RecipeError
from kaggle_hw4.models.build import parameters_of
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.workspace import shipped
from tests.conftest import tiny, trained


def test_parameters_are_counted_without_their_memory() -> None:
    recipe = read_recipe(shipped("pipelines/variants/simple.toml"))
    assert parameters_of(recipe, 600) == 125_896


def test_a_model_too_large_for_the_machine_is_not_begun(
    corpus: Corpus, folds: Folds, tmp_path: Path
) -> None:
    wide = tiny("boss", "networks.d_model=65536", "networks.d_ffn=65536", "networks.count=8")
    with pytest.raises(RecipeError, match=r"need [0-9.]+ GB, and this machine has [0-9.]+ GB"):
        trained(wide, corpus, folds, tmp_path)
    assert not list(tmp_path.glob("*/*/recipe.toml"))


def test_the_limit_is_what_the_process_may_have() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 * 10**9, -1))\n"
        "from kaggle_hw4.device import memory_limit; print(memory_limit())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(shown.stdout) == 3e9
    assert 3e9 < memory_limit() < 2**50
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
