"""Search spaces: strict, in Optuna's terms, and every draw is a recipe."""

from pathlib import Path

import optuna
import pytest

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.tuning.space import Float, Int, Space, read_space
from kaggle_hw4.workspace import shipped
from tests.conftest import VARIANTS, tiny

D_MODEL = '[networks.d_model]\ntype = "int"\nlow = 8\nhigh = 24\n'
HEADS = '[networks.n_heads]\ntype = "categorical"\nchoices = [2, 4]\n'
HEAD = '[networks.head]\ntype = "categorical"\nchoices = ["cosine", "linear"]\n'
SCALE = '[loss.scale]\ntype = "float"\nlow = 10.0\nhigh = 60.0\nlog = true\n'
MARGIN = '[loss.margin]\ntype = "float"\nlow = 0.0\nhigh = 0.5\n'
WHEN = 'when = { "networks.head" = ["cosine"] }\n'
CONDITIONAL = HEAD + SCALE + WHEN + "otherwise = 1.0\n" + MARGIN + WHEN + "otherwise = 0.0\n"


def write_space(folder: Path, text: str) -> Space:
    path = folder / "boss.toml"
    path.write_text(text)
    return read_space(path, tiny("boss"))


def draws(count: int = 50) -> list[optuna.Trial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    return [study.ask() for _ in range(count)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_space_of_a_variant_contains_the_variant(variant: str) -> None:
    base = read_recipe(shipped(f"pipelines/variants/{variant}.toml"))
    space = read_space(shipped(f"studies/spaces/{variant}.toml"), base)
    point = space.locate(base)
    assert point["networks.d_model"] == base.networks[0].d_model
    fixed = space.suggest(optuna.trial.FixedTrial(point), base)  # type: ignore[arg-type]
    assert fixed == base


def test_d_model_is_a_multiple_of_the_heads_by_construction(tmp_path: Path) -> None:
    space = write_space(tmp_path, HEADS + D_MODEL + 'multiple_of = "networks.n_heads"\n')
    recipes = [space.suggest(trial, tiny("boss")) for trial in draws()]
    assert {r.networks[0].n_heads for r in recipes} == {2, 4}
    assert {r.networks[0].d_model for r in recipes} == {8, 12, 16, 20, 24}


def test_a_condition_that_does_not_hold_leaves_the_parameter_out(tmp_path: Path) -> None:
    space = write_space(tmp_path, CONDITIONAL)
    for trial in draws():
        recipe = space.suggest(trial, tiny("boss"))
        linear = recipe.networks[0].head == "linear"
        assert ("loss.margin" in trial.params) != linear
        assert (recipe.loss.scale == 1.0) == linear


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            D_MODEL.replace("d_model", "d_modle"),
            r"d_modle is not a key.*did you mean networks\.d_model",
        ),
        (D_MODEL.replace("low", "lwo"), "lwo is not a key; did you mean low"),
        (D_MODEL.replace('"int"', '"integer"'), "type must be one of int, float, categorical"),
        (D_MODEL.replace("high = 24", "high = 4"), "low 8 is not below high 4"),
        (D_MODEL + "step = 5\n", "high 24 is not a whole number of steps"),
        (
            D_MODEL.replace("low = 8", "low = 18"),
            "the variant's networks.d_model = 16 lies outside",
        ),
        (D_MODEL, r"at networks\.d_model = \d+.*no multiple of n_heads"),
        (
            D_MODEL + 'multiple_of = "predict.spreading_neighbours"\n',
            "multiple_of predict.spreading_neighbours is not a positive whole number",
        ),
        (SCALE.replace("10.0", "0.0"), "log needs a low above 0 and no step"),
        (SCALE + "step = 2.0\n", "log needs a low above 0 and no step"),
        (MARGIN + WHEN, r"when networks\.head is not a parameter above"),
        (HEAD, r"at networks\.head = linear.*margins"),
        ("", "the space has no parameters"),
        ("[networks]\nd_model = 8\n", "networks.d_model: type must be one of"),
        ("[[", "cannot be read"),
    ],
)
def test_a_mistake_in_a_space_is_reported_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=rf"boss\.toml.*{message}") as error:
        write_space(tmp_path, text)
    assert "\n" not in str(error.value)


def test_edges_of_a_space_are_named(tmp_path: Path) -> None:
    space = write_space(
        tmp_path, HEADS + D_MODEL + 'multiple_of = "networks.n_heads"\n' + MARGIN + SCALE
    )
    at = {"networks.d_model": 24, "loss.margin": 0.0, "loss.scale": 10.1, "networks.n_heads": 4}
    assert dict(space.edges(at)) == {"networks.d_model": "largest", "loss.scale": "smallest"}
    assert not dict(space.edges({"networks.d_model": 20, "loss.margin": 0.25, "loss.scale": 30.0}))


def test_an_edge_is_two_percent_wide_and_a_count_of_one_is_none() -> None:
    numbers = Int(type="int", low=100, high=200), Float(type="float", low=0.5, high=10.5)
    space = Space("boss.toml", dict(zip("ab", numbers, strict=True)))
    assert dict(space.edges({"a": 102, "b": 0.5})) == {"a": "smallest", "b": "smallest"}
    assert dict(space.edges({"a": 198, "b": 10.5})) == {"a": "largest", "b": "largest"}
    assert not dict(space.edges({"a": 103, "b": 5.0}))
    layers = Space("boss.toml", {"n": Int(type="int", low=1, high=4)})
    assert not dict(layers.edges({"n": 1})), "no network has fewer than one layer"


def test_a_step_may_be_a_fraction() -> None:
    rate = Float(type="float", low=0.1, high=0.7, step=0.2)
    assert [rate.contains(value) for value in (0.1, 0.3, 0.5, 0.7)] == [True] * 4
    assert not rate.contains(0.4)
    assert not rate.contains(0.9)
