"""hw4 recipe: every key has a meaning, its range is the one that is enforced."""

import json
from pathlib import Path

import pytest

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.settings import key_names
from kaggle_hw4.stages.explain import explain
from kaggle_hw4.workspace import Workspace, shipped
from tests.conftest import VARIANTS, ZOO
from tests.test_cli import run

HERE = Workspace(Path("nowhere"))
HASHES = {
    "simple": "4cc442d8",
    "medium": "1149eb2e",
    "strong": "98584e1b",
    "boss": "f5390839",
    "champion": "7d902bfb",
}


@pytest.mark.parametrize("variant", [*VARIANTS, *ZOO])
def test_every_key_of_a_variant_is_explained(variant: str) -> None:
    recipe = explain(HERE, variant)
    values = read_recipe(shipped(f"pipelines/variants/{variant}.toml")).sections()
    names = [key.name for key in recipe.keys]
    assert set(names) <= set(key_names(values))
    assert len(names) == len(set(names))
    count = sum(len(part) for s in values.values() for part in (s if isinstance(s, list) else [s]))
    assert len(names) == count
    for key in recipe.keys:
        assert key.meaning.endswith("."), key.name
        assert key.range, key.name
    assert recipe.about


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_explanations_leave_the_hashes_of_recipes(variant: str) -> None:
    assert explain(HERE, variant).hash == HASHES[variant]


@pytest.mark.parametrize(
    ("name", "words", "outside"),
    [
        ("loss.margin", "a number, 0 to below 1", 1.0),
        ("loss.scale", "a number, above 0", 0.0),
        ("segments.min_fraction", "a number, above 0 to 1", 0.0),
        ("augment.noise_snr", "a number, -20 to 60", -21.0),
        ("segments.batch_size", "a whole number, 2 to 65,536", 1),
        ("schedule.steps", "a whole number, 1 or more", 0),
        ("optimizer.weight_decay", "a number, 0 or more", -1.0),
        ("loss.margin_type", "am | aam", "arc"),
        ("networks.aggregation", "true | false", "maybe"),
        ("predict.frames", "a whole number, 1 to 1,000,000, or a list of them", 0),
    ],
)
def test_the_range_of_a_key_is_the_one_that_is_enforced(
    name: str, words: str, outside: object
) -> None:
    [key] = [key for key in explain(HERE, "boss").keys if key.name == name]
    assert key.range == words
    with pytest.raises(RecipeError, match=name.partition(".")[2]):
        explain(HERE, "boss", [f"{name}={outside}"])


def test_a_changed_key_says_so_and_a_section_can_be_chosen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("recipe", "boss", "-s", "loss.margin=0.25", "--section", "loss") == 0
    shown = capsys.readouterr()
    assert "  margin = 0.25  (by -s)    a number, 0 to below 1\n" in shown.out
    assert "[augment]" not in shown.out
    assert shown.err == "next: hw4 train boss -s loss.margin=0.25\n"
    assert run("recipe", "zoo/two_kinds", "--json") == 0
    keys = {key["name"]: key for key in json.loads(capsys.readouterr().out)["keys"]}
    assert keys["networks.1.encoder"]["value"] == "conformer"
    assert keys["networks.1.encoder"]["source"] == "two_kinds.toml"
    assert run("recipe", "boss", "--section", "nets") == 2
    assert "--section: there is no section 'nets'" in capsys.readouterr().err
