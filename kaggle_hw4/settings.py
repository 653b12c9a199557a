"""TOML, read strictly into a model: every problem is named, and the nearest key."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from kaggle_hw4.artifact import read_file
from kaggle_hw4.errors import RecipeError

Values = dict[str, Any]  # what a TOML file holds

LARGEST = 10**9  # of any count: more is a slip of the hand
MAX_WIDTH = 2**16  # of a layer: a square matrix of it has 16 GiB
MAX_PARTS = 256  # of a kind, built one after the other: layers, networks, masks of a segment
MAX_FRAMES = 10**6  # of a segment that hours of training come before: nearly three hours
MAX_BATCH = 2**16  # segments of a step; the competition has fewer utterances
MAX_SEGMENTS = 10**4  # of an utterance, each a pass of the model
Positive = Annotated[int, Field(ge=1, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Width = Annotated[int, Field(ge=1, le=MAX_WIDTH)]
Parts = Annotated[int, Field(ge=1, le=MAX_PARTS)]
Frames = Annotated[int, Field(ge=1, le=MAX_FRAMES)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Frozen; a key too many, a key missing or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_toml(path: Path) -> Values:
    try:
        return tomllib.loads(read_file(path).decode().replace("\r\n", "\n"))
    except RecursionError as error:
        raise RecipeError(f"{path} cannot be read (nested too deeply)") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read ({error})") from error


def override(values: Values, setting: str) -> None:
    """Lay one `section.key=value` over `values`; the value is TOML, a bare word is a string."""
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and section and dot and key):
        raise RecipeError(f"the setting {setting!r} is not of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except RecursionError as error:
        raise RecipeError(f"the setting {setting!r:.60} is nested too deeply") from error
    except ValueError:  # no TOML, or an integer of thousands of digits
        value = text.strip()
    set_key(values, name.strip(), value)


def set_key(values: Values, name: str, value: Any) -> None:
    """Set `section.key`; in a list of sections, the key of all (`networks.d_model`) or of one
    (`networks.1.d_model`, from 0).
    """
    for section, key in _places(values, name):
        section[key] = value


def get_keys(values: Values, name: str) -> list[Any]:
    """The values of `section.key`, one for each section that has it; [] where none has."""
    if name.partition(".")[0] not in values:
        return []
    return [section[key] for section, key in _places(values, name) if key in section]


def key_names(values: Values) -> Iterator[str]:
    """Every name that `set_key` takes for the keys of `values`; what is no section has none."""
    for section, keys in values.items():
        sections = keys if isinstance(keys, list) else [keys]
        if not sections or not all(isinstance(each, dict) for each in sections):
            continue
        yield from (f"{section}.{key}" for key in set.intersection(*map(set, sections)))
        if isinstance(keys, list):
            yield from (f"{section}.{i}.{key}" for i, each in enumerate(keys) for key in each)


def _places(values: Values, name: str) -> list[tuple[Values, str]]:
    section, _, key = name.partition(".")
    target = values.setdefault(section, {})
    sections = target if isinstance(target, list) else [target]
    if not all(isinstance(each, dict) for each in sections):
        raise RecipeError(f"{section} is no section with keys, {name} cannot be in it")
    if not isinstance(target, list):
        return [(target, key)]
    number, dot, rest = key.partition(".")
    if not (dot and number.isdecimal()):
        return [(each, key) for each in target]
    if len(number) > 9 or int(number) >= len(target):
        raise RecipeError(
            f"there is no {section}.{number:.20}: they are numbered 0 to {len(target) - 1}"
        )
    return [(target[int(number)], rest)]


M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """`values` as a `model`, or a RecipeError that names every problem and the nearest key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_explain(model, problem) for problem in error.errors()]
        raise RecipeError(f"{where}: " + "; ".join(problems)) from error


def _explain(model: type[BaseModel], problem: ErrorDetails) -> str:
    location, keys = _location(model, problem["loc"])
    path = ".".join(location)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], keys, 1, 0.6)
        return f"{path} is not a key" + (f"; did you mean {near[0]}?" if near else "")
    if problem["type"] == "missing":
        return f"{path} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    place = f"{path}: " if path else ""
    return f"{place}{message}" + (
        f", not {given!r:.200}" if isinstance(given, str | int | float) else ""
    )


def _location(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str], list[str]]:
    """Where a problem is, as a reader sees it, and the keys that could stand in its place.

    The tag of a union ("networks", 0, "conformer", "d_model") is no part of the file.
    """
    path: list[str] = []
    keys, choices = list(model.model_fields), [model]
    for part in map(str, loc):
        tagged = [c for c in choices if part in get_args(_tag(c))]
        if tagged:
            choices = tagged
            keys = list(tagged[0].model_fields)
            continue
        path.append(part)
        if not part.isdecimal():
            known = [c.model_fields[part] for c in choices if part in c.model_fields]
            choices = [m for field in known[:1] for m in _models(field.annotation)]
            keys = list(choices[0].model_fields) if choices else keys
    return path, keys


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("encoder") or model.model_fields.get("objective")
    return field.annotation if field else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation allows."""
    if is_model(annotation):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
