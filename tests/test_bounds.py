"""Sizes have bounds, checked before any work; what is no regular file is never waited for."""

import os
from pathlib import Path

import pytest

from kaggle_hw4.artifact import write_json
from kaggle_hw4.errors import DataError, RecipeError, UsageError
from kaggle_hw4.kaggle.listing import read_listing
from kaggle_hw4.kaggle.submissions import read_submission
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.runs import Run
from kaggle_hw4.synth.corpus import write_corpus
from kaggle_hw4.workspace import shipped
from tests.conftest import manifest_of, tiny


@pytest.mark.parametrize("frames", [float("inf"), 1e300, float("nan"), 7194])
def test_a_synthetic_utterance_has_a_length(tmp_path: Path, frames: float) -> None:
    with pytest.raises(UsageError, match="than the longest utterance, 7,193") as raised:
        write_corpus(tmp_path / "corpus", frames=frames)
    assert raised.value.parameter == "frames"
    assert not list(tmp_path.iterdir())


def test_a_synthetic_corpus_has_a_size(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1,000,000 is the most; choose fewer speakers"):
        write_corpus(tmp_path / "corpus", speakers=10**12)


@pytest.mark.parametrize(
    "key",
    [
        "networks.count",
        "networks.n_layers",
        "networks.d_model",
        "networks.d_ffn",
        "networks.d_embedding",
        "networks.sub_centres",
        "segments.batch_size",
        "predict.segments",
        "predict.frames",
        "large_margin_fine_tuning.frames",
        "augment.freq_masks",
        "augment.time_masks",
    ],
)
def test_a_billion_of_anything_is_refused_by_its_name(key: str) -> None:
    name = key.replace("networks.", "networks.0.")
    with pytest.raises(RecipeError, match=rf"{name}.*less than or equal to \d+, not 1000000000"):
        tiny("boss", f"{key}=1000000000")


@pytest.mark.parametrize("fold", [2, 99999999999999999999])
def test_a_manifest_with_a_fold_that_is_none_is_refused(fold: int, tmp_path: Path) -> None:
    values = manifest_of({}).model_dump(mode="json") | {"fold": fold}
    write_json(tmp_path / "run.json", values)
    with pytest.raises(DataError, match="fold is none of 0 to"):
        Run(tmp_path).manifest()


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read, error in (
        (read_recipe, RecipeError),
        (read_listing, DataError),
        (read_submission, DataError),
    ):
        with pytest.raises(error, match="not a regular file"):
            read(tmp_path / "pipe")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "a = 1\ud800"])
def test_hostile_toml_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.toml").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(RecipeError, match=r"recipe\.toml cannot be read"):
        read_recipe(tmp_path / "recipe.toml")


@pytest.mark.parametrize("path", sorted(shipped("pipelines/variants").rglob("*.toml")))
def test_what_is_shipped_is_within_the_bounds(path: Path) -> None:
    read_recipe(path)
