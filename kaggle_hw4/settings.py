"""TOML, read strictly into a model: every problem is named, and the nearest key."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from kaggle_hw4.errors import RecipeError


class Section(BaseModel):
    """Frozen; a key too many, a key missing or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read ({error})") from None


def override(values: dict[str, Any], setting: str) -> None:
    """Lay one `section.key=value` over `values`; the value is TOML, a bare word is a string."""
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and section and dot and key):
        raise RecipeError(f"-s {setting!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    values.setdefault(section, {})[key] = value


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as a `model`, or a RecipeError that names every problem and the nearest key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_explain(model, dict(problem)) for problem in error.errors()]
        raise RecipeError(f"{where}: " + "; ".join(problems)) from None


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    # A union puts its tag ("model", "conformer", "d_model") where a reader sees none.
    path = (
        ".".join(location[:1] + location[1 + _is_union(model, location[0]) :]) if location else ""
    )
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _keys(model, location), 1, 0.6)
        return f"{path} is not a key" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{path} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    place = f"{path}: " if path else ""
    return f"{place}{message}" + (
        f", not {given!r}" if isinstance(given, str | int | float) else ""
    )


def _is_union(model: type[BaseModel], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and len(_models(field.annotation)) > 1


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation allows."""
    if is_model(annotation):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]


def _keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """The keys that could stand where `location` ends."""
    for part in location[:-1]:
        field = model.model_fields.get(part)
        if field is not None:
            choices = _models(field.annotation)
            tagged = [c for c in choices if location[1] in str(c.model_fields.get("encoder", ""))]
            model = (tagged or choices or [model])[0]
    return list(model.model_fields)


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
