"""Recipes are complete, strict, and say what is wrong with them."""

import re
import tomllib
from pathlib import Path

import pytest

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.models.build import build_model, count_parameters
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
    ("setting", "message"),
    [
        ("networks.d_modle=3", "did you mean d_model?"),
        ("loss.margn=0.1", "did you mean margin?"),
        ("network.d_model=3", "did you mean networks?"),
        ("networks.d_model=2.5", "not 2.5"),
        ("networks.d_model=wide", "not 'wide'"),
        ("networks.n_heads=3", "no multiple of n_heads 3"),
        ("networks.kernel_size=30", "must be odd"),
        ("networks.encoder=tdnn", "'transformer', 'conformer'"),
        ("networks.head=linear", "act on cosines"),
        ("loss.margin=1.5", "less than 1"),
        ("optimizer.learning_rate=nan", "finite"),
        ("schedule.steps=10", "warmup_steps is more than"),
        ("d_model=3", "section.key=value"),
    ],
)
def test_a_wrong_key_or_value_is_named(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")) as caught:
        read_recipe(BOSS, [setting])
    assert "\n" not in str(caught.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(RecipeError, match=r"loss\.margn.*segments\.frames"):
        read_recipe(BOSS, ["loss.margn=1", "segments.frames=long"])


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(BOSS.read_text().replace("n_heads = 4\n", ""))
    with pytest.raises(RecipeError, match=r"short\.toml: networks\.0\.n_heads is missing"):
        read_recipe(path)


def test_settings_are_toml_and_bare_words_are_strings() -> None:
    recipe = read_recipe(
        BOSS, ["networks.pooling=mean", "loss.margin=0.35", "networks.d_model=128"]
    )
    assert (recipe.networks[0].pooling, recipe.loss.margin, recipe.networks[0].d_model) == (
        "mean",
        0.35,
        128,
    )


def test_strong_and_boss_differ_in_pooling_and_margin_alone() -> None:
    strong = read_recipe(shipped("pipelines/variants/strong.toml")).sections()
    boss = read_recipe(BOSS).sections()
    [network], [other] = boss.pop("networks"), strong.pop("networks")
    assert {k for k in network if network[k] != other[k]} == {"pooling", "head"}
    assert {s for s, keys in boss.items() for k in keys if strong[s][k] != keys[k]} == {"loss"}


FOLDER = shipped("pipelines/variants")


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_makes_a_model(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# "), "a recipe opens with what it is"
    assert count_parameters(build_model(read_recipe(path), 600)) > 100_000


def test_a_setting_is_laid_over_all_networks_or_over_one() -> None:
    path = FOLDER / "zoo/two_kinds.toml"
    both, second = (
        read_recipe(path, [f"{name}.dropout=0.3"]).networks for name in ("networks", "networks.1")
    )
    assert [config.encoder for config in both] == ["ecapa", "conformer"]
    assert [config.dropout for config in both] == [0.3, 0.3]
    assert [config.dropout for config in second] == [0.0, 0.3]
    with pytest.raises(RecipeError, match=r"no networks\.2: they are numbered 0 to 1"):
        read_recipe(path, ["networks.2.dropout=0.3"])


def test_a_recipe_of_the_first_release_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text(BOSS.read_text().replace("[[networks]]", "[model]"))
    with pytest.raises(RecipeError, match=r"a recipe of hw4 0\.1; CHANGELOG\.md lists"):
        read_recipe(path)


def test_what_is_wrong_in_the_second_network_is_named_like_in_the_first() -> None:
    path = FOLDER / "zoo/two_kinds.toml"
    for settings, message in (
        (["networks.1.d_modle=3"], "networks.1.d_modle is not a key; did you mean d_model?"),
        (["networks.1.kernel_size=4"], "networks.1: kernel_size 4 must be odd"),
        (["networks.1.head=linear"], "they must be 0.0 and 1.0"),
    ):
        with pytest.raises(RecipeError, match=re.escape(message)):
            read_recipe(path, settings)


def test_the_sample_among_the_peers_is_simple_each_utterance_alone() -> None:
    alone = read_recipe(
        FOLDER / "simple.toml", ["predict.spreading_neighbours=0", "predict.self_training=false"]
    )
    assert read_recipe(FOLDER / "peers/sample.toml") == alone


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["networks.0.stem=linear"], "subsampling = 2 needs a stem"),
        (["networks.0.head=linear", "networks.0.sub_centres=2"], "sub_centres are cosines"),
        (["networks.0.embedding=batch_norm"], "d_embedding must be 6144"),
        (["networks.0.groups=3"], "no multiple of groups 3"),
        (
            ["large_margin_fine_tuning.steps=70000"],
            "large_margin_fine_tuning.steps is more than schedule.steps",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(settings: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(FOLDER / "zoo/two_kinds.toml", settings)
