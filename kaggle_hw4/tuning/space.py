"""A search space: a TOML file in Optuna's own terms, over the keys of a recipe. Reader and checks.

    [networks.d_model]
    type = "int"                      int, float or categorical
    low = 96
    high = 384
    multiple_of = "networks.n_heads"     the step is the least common multiple of its values

`when` makes a parameter conditional on earlier ones; where the condition does not hold, the key
takes the value `otherwise`, or stays as it is in the variant.
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import optuna
from pydantic import Field

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.settings import Section, get_keys, key_names, read_toml, set_key, validate
from kaggle_hw4.tuning.quiet import quiet_optuna

Scalar = bool | int | float | str
Params = dict[str, Any]  # Optuna's: the values of a trial by `section.key`
TEST_DRAWS = 200  # random points that must all make a recipe before a study begins


class Parameter(Section):
    when: dict[str, list[Scalar]] = Field(default_factory=dict)
    otherwise: Scalar | None = None

    def active(self, params: Params) -> bool:
        """Whether the condition `when` holds for the parameters drawn so far."""
        return all(params.get(name) in values for name, values in self.when.items())


class Int(Parameter):
    type: Literal["int"]
    low: int
    high: int
    step: int = Field(1, ge=1)
    log: bool = False
    multiple_of: str | None = None

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high and (value - self.low) % self.step == 0)


class Float(Parameter):
    type: Literal["float"]
    low: float
    high: float
    step: float | None = Field(None, gt=0)
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        steps = (value - self.low) / self.step if self.step else 0.0
        return bool(self.low <= value <= self.high) and math.isclose(steps, round(steps))


class Categorical(Parameter):
    type: Literal["categorical"]
    choices: list[Scalar] = Field(min_length=2)

    def suggest(self, trial: optuna.Trial, name: str) -> Scalar | None:
        return trial.suggest_categorical(name, self.choices)

    def contains(self, value: Any) -> bool:
        return value in self.choices


AnyParameter = Annotated[Int | Float | Categorical, Field(discriminator="type")]
TYPES: dict[str, type[Int | Float | Categorical]] = {
    "int": Int,
    "float": Float,
    "categorical": Categorical,
}


@dataclass(frozen=True)
class Space:
    """Parameters by `section.key`, in the order in which they are drawn."""

    name: str
    parameters: Mapping[str, AnyParameter] = field(default_factory=dict)

    def suggest(self, trial: optuna.Trial, base: Recipe) -> Recipe:
        """Draw every active parameter and set it in `base`; RecipeError when they contradict."""
        values, params = base.sections(), Params()
        for name, parameter in self.parameters.items():
            if parameter.active(params):
                params[name] = parameter.suggest(trial, name)
                set_key(values, name, params[name])
            elif parameter.otherwise is not None:
                set_key(values, name, parameter.otherwise)
        point = ", ".join(f"{name} = {value}" for name, value in params.items())
        return validate(Recipe, values, f"{self.name}: at {point}")

    def complete(self, params: Params) -> bool:
        """Whether `params` has all parameters of a point, and not only the first ones."""
        active = (name for name, p in self.parameters.items() if p.active(params))
        return all(name in params for name in active)

    def locate(self, recipe: Recipe) -> Params:
        """The point of this space that `recipe` is; RecipeError when it lies outside."""
        values, params = recipe.sections(), Params()
        for name, parameter in self.parameters.items():
            if parameter.active(params):
                value, *others = get_keys(values, name) or [None]
                outside = value is None or not parameter.contains(value)
                if outside or any(other != value for other in others):
                    raise RecipeError(
                        f"{self.name}: the variant's {name} = {value} lies outside of the space",
                        "leave that setting out, or name a search space of your own",
                    )
                params[name] = value
        return params

    def edges(self, params: Params) -> Iterator[tuple[str, str]]:
        """Which values of `params` are the `largest` or `smallest` allowed (within 2 % of it).

        A lower edge at 0, or at a count of 1, is natural: no space could be wider there.
        """
        for name, value in params.items():
            parameter = self.parameters.get(name)
            if isinstance(parameter, Int | Float):
                scale = math.log if parameter.log else float
                low, high, at = (scale(v) for v in (parameter.low, parameter.high, value))
                natural = parameter.low <= (1 if isinstance(parameter, Int) else 0)
                if (at - low) / (high - low) >= 0.98:
                    yield name, "largest"
                elif (at - low) / (high - low) <= 0.02 and not natural:
                    yield name, "smallest"


def read_space(path: Path, base: Recipe) -> Space:
    """The space in `path`, checked against the recipe that it varies, or RecipeError."""
    known = set(key_names(base.sections()))
    parameters: dict[str, AnyParameter] = {}
    # Read and check each parameter.
    for name, table in _tables(read_toml(path)):
        where = f"{path.name}: {name}"
        if name not in known:
            raise RecipeError(f"{where} is not a key of this variant" + _nearest(name, known))
        if not isinstance(table, dict) or table.get("type") not in TYPES:
            raise RecipeError(f"{where}: type must be one of {', '.join(TYPES)}")
        parameter = validate(TYPES[table["type"]], table, where)
        for other in parameter.when:
            if other not in parameters:
                raise RecipeError(
                    f"{where}: when {other} is not a parameter above it"
                    + _nearest(other, parameters)
                )
        parameters[name] = _with_step(parameter, where, parameters, base)
        _check_range(parameters[name], where)
    if not parameters:
        raise RecipeError(f"{path.name}: the space has no parameters")
    # Check them together: the baseline is a point of the space, and every point is a recipe.
    space = Space(path.name, parameters)
    space.locate(base)
    _test_draws(space, base)
    return space


def _with_step(
    parameter: AnyParameter, where: str, earlier: Mapping[str, AnyParameter], base: Recipe
) -> AnyParameter:
    """`parameter` with the step that `multiple_of` asks for."""
    if not isinstance(parameter, Int) or not parameter.multiple_of:
        return parameter
    step = math.lcm(*_values(parameter.multiple_of, where, earlier, base))
    if parameter.low % step:
        raise RecipeError(f"{where}: low {parameter.low} is not a multiple of {step}")
    return parameter.model_copy(update={"step": step})


def _check_range(parameter: AnyParameter, where: str) -> None:
    """RecipeError for an invalid range."""
    if isinstance(parameter, Categorical):
        return
    if parameter.low >= parameter.high:
        raise RecipeError(f"{where}: low {parameter.low} is not below high {parameter.high}")
    if parameter.log and (parameter.low <= 0 or parameter.step not in (None, 1)):
        raise RecipeError(f"{where}: log needs a low above 0 and no step")
    if not parameter.contains(parameter.high):
        raise RecipeError(f"{where}: high {parameter.high} is not a whole number of steps from low")


def _values(name: str, where: str, earlier: Mapping[str, AnyParameter], base: Recipe) -> list[int]:
    """All values that a key can have: its choices, its range, or the variant's own value."""
    parameter = earlier.get(name)
    if isinstance(parameter, Int):
        return list(range(parameter.low, parameter.high + 1, parameter.step))
    fixed = get_keys(base.sections(), name)
    values: Sequence[Any] = parameter.choices if isinstance(parameter, Categorical) else fixed
    if not values or not all(isinstance(value, int) and value > 0 for value in values):
        raise RecipeError(f"{where}: multiple_of {name} is not a positive whole number")
    return [int(value) for value in values]


def _tables(values: Mapping[str, object], path: str = "") -> Iterator[tuple[str, object]]:
    """Every table that describes a parameter, with the key that it describes."""
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        section = not path or key.isdecimal()  # [loss], [networks] or [networks.0]
        if section and isinstance(value, dict):
            yield from _tables(value, name)
        else:
            yield name, value


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _test_draws(space: Space, base: Recipe) -> None:
    """Draw random points: a recipe that is refused is reported before hours are spent."""
    with quiet_optuna():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(TEST_DRAWS):
            space.suggest(study.ask(), base)
