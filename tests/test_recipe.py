"""Recipes are complete, strict, and say what is wrong with them."""

import re
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


def test_strong_and_boss_differ_in_pooling_margin_copies_and_neighbours_alone() -> None:
    strong = read_recipe(shipped("pipelines/variants/strong.toml")).sections()
    boss = read_recipe(BOSS).sections()
    differing = {(s, k) for s, keys in boss.items() for k in keys if strong[s][k] != keys[k]}
    assert {k for s, k in differing if s == "model"} == {"pooling", "head", "copies"}
    assert {k for s, k in differing if s == "predict"} == {"neighbours"}
    assert {s for s, _ in differing} == {"model", "loss", "predict"}


FOLDER = shipped("pipelines/variants")


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_makes_a_model(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# "), "a recipe opens with what it is"
    assert count_parameters(build_model(read_recipe(path), 600)) > 100_000


def test_a_second_kind_is_there_only_where_it_is_asked_for() -> None:
    champion, boss = (read_recipe(FOLDER / f"{name}.toml") for name in ("champion", "boss"))
    assert [model.encoder for model in champion.models] == ["ecapa", "conformer"]
    assert "second" in champion.to_toml()
    assert boss.models == [boss.model]
    assert "second" not in boss.to_toml()


def test_what_is_wrong_in_the_second_kind_is_told_like_in_the_first() -> None:
    path = FOLDER / "champion.toml"
    for settings, told in (
        (["second.d_modle=3"], "second.d_modle is not a key; did you mean d_model?"),
        (["second.kernel_size=4"], "second: kernel_size 4 must be odd"),
        (["second.head=linear"], "they must be 0.0 and 1.0"),
    ):
        with pytest.raises(RecipeError, match=re.escape(told)):
            read_recipe(path, settings)
    with pytest.raises(RecipeError, match=r"second\.\w+ is missing"):
        read_recipe(BOSS, ["second.encoder=conformer"])


def test_the_sample_among_the_peers_is_simple() -> None:
    assert read_recipe(FOLDER / "peers/sample.toml") == read_recipe(FOLDER / "simple.toml")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["model.stem=linear"], "subsampling = 2 needs a stem"),
        (["model.head=linear", "model.sub_centres=2"], "sub_centres are cosines"),
        (["model.embedding=batch_norm"], "d_embedding must be 6144"),
        (["model.groups=3"], "no multiple of groups 3"),
        (["fine_tuning.steps=70000"], "fine_tuning.steps is more than schedule.steps"),
    ],
)
def test_parts_that_do_not_fit_are_told(settings: list[str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        read_recipe(FOLDER / "champion.toml", settings)
