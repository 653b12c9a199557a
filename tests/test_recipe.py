"""Recipes are complete, strict, and say what is wrong with them."""

import tomllib
from pathlib import Path

import pytest

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.models import build_model, count_parameters
from kaggle_hw4.recipe import Recipe, read_recipe
from kaggle_hw4.settings import validate
from kaggle_hw4.workspace import shipped
from tests.conftest import VARIANTS

BOSS = shipped("pipelines/variants/boss.toml")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_recipe_survives_its_own_toml(variant: str) -> None:
    recipe = read_recipe(shipped(f"pipelines/variants/{variant}.toml"))
    assert validate(Recipe, tomllib.loads(recipe.to_toml()), "stored") == recipe


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("model.d_modle=3", "did you mean d_model?"),
        ("loss.margn=0.1", "did you mean margin?"),
        ("modle.d_model=3", "did you mean model?"),
        ("model.d_model=2.5", "not 2.5"),
        ("model.d_model=wide", "not 'wide'"),
        ("model.n_heads=3", "no multiple of n_heads 3"),
        ("model.kernel_size=30", "must be odd"),
        ("model.encoder=rnn", "'transformer', 'conformer'"),
        ("model.head=linear", "act on cosines"),
        ("loss.margin=1.5", "less than 1"),
        ("optimizer.learning_rate=nan", "finite"),
        ("schedule.steps=10", "warmup_steps is more than"),
        ("d_model=3", "section.key=value"),
    ],
)
def test_a_wrong_key_or_value_is_named(setting: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told.replace("?", r"\?")) as caught:
        read_recipe(BOSS, [setting])
    assert "\n" not in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"loss\.margn.*segments\.frames"):
        read_recipe(BOSS, ["loss.margn=1", "segments.frames=long"])


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(BOSS.read_text().replace("n_heads = 4\n", ""))
    with pytest.raises(RecipeError, match=r"short\.toml: model\.n_heads is missing"):
        read_recipe(path)


def test_settings_are_toml_and_bare_words_are_strings() -> None:
    recipe = read_recipe(BOSS, ["model.pooling=mean", "loss.margin=0.35", "model.d_model=128"])
    assert (recipe.model.pooling, recipe.loss.margin, recipe.model.d_model) == ("mean", 0.35, 128)


def test_strong_and_boss_differ_in_pooling_head_loss_and_noise_alone() -> None:
    strong = read_recipe(shipped("pipelines/variants/strong.toml")).model_dump()
    boss = read_recipe(BOSS).model_dump()
    differing = {(s, k) for s, keys in boss.items() for k in keys if strong[s][k] != keys[k]}
    assert {k for s, k in differing if s == "model"} == {"pooling", "head"}
    assert {k for s, k in differing if s == "augment"} == {"noise", "modulation"}
    assert {s for s, _ in differing} == {"model", "loss", "augment"}


FOLDER = shipped("pipelines/variants")


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_makes_a_model(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# "), "a recipe opens with what it is"
    assert count_parameters(build_model(read_recipe(path), 600)) > 100_000


def test_the_sample_among_the_peers_is_simple() -> None:
    assert read_recipe(FOLDER / "peers/sample.toml") == read_recipe(FOLDER / "simple.toml")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["model.stem=linear"], "subsampling = 2 needs a stem"),
        (["model.head=linear", "model.sub_centres=2"], "sub_centres are cosines"),
        (["model.embedding=batch_norm"], "d_embedding must be 512"),
        (["model.groups=3"], "no multiple of groups 3"),
        (["fine_tuning.steps=70000"], "fine_tuning.steps is more than schedule.steps"),
    ],
)
def test_parts_that_do_not_fit_are_told(settings: list[str], told: str) -> None:
    path = FOLDER / ("champion.toml" if "groups" in settings[0] else "boss.toml")
    with pytest.raises(RecipeError, match=told):
        read_recipe(path, settings)
