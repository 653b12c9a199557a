"""A search space: a TOML file in Optuna's own words, over the keys of a recipe. Reader and checker.

    [networks.d_model]
    type = "int"                      int, float or categorical
    low = 96
    high = 384
    multiple_of = "networks.n_heads"     by construction: the step is their least common multiple

`when` makes a parameter conditional on earlier ones; where it does not hold, the key takes
`otherwise`, or stays as it is in the variant.
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from pydantic import Field

from kaggle_hw4.errors import RecipeError
from kaggle_hw4.recipe import Recipe
from kaggle_hw4.settings import Section, get_keys, key_names, read_toml, set_key, validate

Scalar = bool | int | float | str
CHECKED = 200  # random draws that must all make a recipe before a study begins


class Parameter(Section):
    when: dict[str, list[Scalar]] = Field(default_factory=dict)
    otherwise: Scalar | None = None

    def active(self, chosen: Mapping[str, Any]) -> bool:
        return all(chosen.get(name) in values for name, values in self.when.items())


class Int(Parameter):
    type: Literal["int"]
    low: int
    high: int
    step: int = Field(1, ge=1)
    log: bool = False
    multiple_of: str | None = None

    def suggest(self, trial: optuna.Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high and (value - self.low) % self.step == 0)


class Float(Parameter):
    type: Literal["float"]
    low: float
    high: float
    step: float | None = Field(None, gt=0)
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        steps = (value - self.low) / self.step if self.step else 0.0
        return bool(self.low <= value <= self.high) and math.isclose(steps, round(steps))


class Categorical(Parameter):
    type: Literal["categorical"]
    choices: list[Scalar] = Field(min_length=2)

    def suggest(self, trial: optuna.Trial, name: str) -> Scalar | None:
        return trial.suggest_categorical(name, self.choices)

    def holds(self, value: Any) -> bool:
        return value in self.choices


KINDS: dict[str, type[Int | Float | Categorical]] = {
    "int": Int,
    "float": Float,
    "categorical": Categorical,
}


@dataclass(frozen=True)
class Space:
    """Parameters by `section.key`, in the order in which they are drawn."""

    name: str
    parameters: Mapping[str, Int | Float | Categorical] = field(default_factory=dict)

    def suggest(self, trial: optuna.Trial, base: Recipe) -> Recipe:
        """Draw every active parameter and lay it over `base`; RecipeError when they clash."""
        values, chosen = base.sections(), dict[str, Any]()
        for name, parameter in self.parameters.items():
            if parameter.active(chosen):
                chosen[name] = parameter.suggest(trial, name)
                set_key(values, name, chosen[name])
            elif parameter.otherwise is not None:
                set_key(values, name, parameter.otherwise)
        return validate(Recipe, values, _point(self.name, chosen))

    def locate(self, recipe: Recipe) -> dict[str, Any]:
        """The parameters of `recipe` as a point of this space; RecipeError when it is outside."""
        values, chosen = recipe.sections(), dict[str, Any]()
        for name, parameter in self.parameters.items():
            if parameter.active(chosen):
                value, *others = get_keys(values, name) or [None]
                outside = value is None or not parameter.holds(value)
                if outside or any(other != value for other in others):
                    raise RecipeError(
                        f"{self.name}: the variant's own {name} = {value} lies outside of the space"
                    )
                chosen[name] = value
        return chosen

    @classmethod
    def load(cls, name: str, dumped: Mapping[str, Any]) -> "Space":
        return cls(name, {k: validate(KINDS[v["type"]], v, k) for k, v in dumped.items()})

    def dump(self) -> dict[str, Any]:
        return {name: p.model_dump(exclude_none=True) for name, p in self.parameters.items()}

    def edges(self, chosen: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Which values of `chosen` are the `largest` or `smallest` allowed (within 2 % of it).

        A lower edge at 0, or at a count of 1, is the end of the world, not of the space.
        """
        for name, value in chosen.items():
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
    parameters: dict[str, Int | Float | Categorical] = {}
    for name, table in _tables(read_toml(path)):
        where = f"{path.name}: {name}"
        if name not in known:
            raise RecipeError(f"{where} is not a key of this variant" + _nearest(name, known))
        if not isinstance(table, dict) or table.get("type") not in KINDS:
            raise RecipeError(f"{where}: type must be one of {', '.join(KINDS)}")
        parameter = validate(KINDS[table["type"]], table, where)
        for other in parameter.when:
            if other not in parameters:
                raise RecipeError(
                    f"{where}: when {other} is no parameter above it" + _nearest(other, parameters)
                )
        parameters[name] = _checked(parameter, where, parameters, base)
    if not parameters:
        raise RecipeError(f"{path.name}: a space of no parameters")
    space = Space(path.name, parameters)
    space.locate(base)
    _try(space, base)
    return space


def _checked(
    parameter: Int | Float | Categorical,
    where: str,
    earlier: Mapping[str, Int | Float | Categorical],
    base: Recipe,
) -> Int | Float | Categorical:
    """`parameter` with its step worked out; RecipeError for a range that is none."""
    if isinstance(parameter, Int) and parameter.multiple_of:
        step = math.lcm(*_values(parameter.multiple_of, where, earlier, base))
        parameter = parameter.model_copy(update={"step": step})
        if parameter.low % step:
            raise RecipeError(f"{where}: low {parameter.low} is no multiple of {step}")
    if isinstance(parameter, Int | Float):
        if parameter.low >= parameter.high:
            raise RecipeError(f"{where}: low {parameter.low} is not below high {parameter.high}")
        if parameter.log and (parameter.low <= 0 or parameter.step not in (None, 1)):
            raise RecipeError(f"{where}: log needs a low above 0 and no step")
        if not parameter.holds(parameter.high):
            raise RecipeError(
                f"{where}: high {parameter.high} is no whole number of steps from low"
            )
    return parameter


def _values(
    name: str, where: str, earlier: Mapping[str, Int | Float | Categorical], base: Recipe
) -> list[int]:
    """All that a key can be: its choices, its range, or the variant's own value."""
    parameter = earlier.get(name)
    if isinstance(parameter, Int):
        return list(range(parameter.low, parameter.high + 1, parameter.step))
    own = get_keys(base.sections(), name)
    values: Sequence[Any] = parameter.choices if isinstance(parameter, Categorical) else own
    if not values or not all(isinstance(value, int) and value > 0 for value in values):
        raise RecipeError(f"{where}: multiple_of {name} is no whole number")
    return [int(value) for value in values]


def _tables(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every table that describes a parameter, with the key that it describes."""
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        section = not path or key.isdecimal()  # [loss], [networks] or [networks.0]
        if section and isinstance(value, dict):
            yield from _tables(value, name)
        else:
            yield name, value


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _point(name: str, chosen: Mapping[str, Any]) -> str:
    return f"{name}: at " + ", ".join(f"{k} = {v}" for k, v in chosen.items())


def _try(space: Space, base: Recipe) -> None:
    """Draw some points: what a recipe refuses is told before a night is spent."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(CHECKED):
        space.suggest(study.ask(), base)
    optuna.logging.set_verbosity(before)
