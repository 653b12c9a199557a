"""From a variant to its keys, each with its value, its range and what it means."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from kaggle_hw4.workspace import Workspace

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class ExplainedKey:
    """A key of a recipe."""

    name: str  # as a setting takes it: section.key
    value: str | int | float | bool | list[int]
    range: str  # in words
    meaning: str
    source: str  # of the value: the file of the variant, or the setting


@dataclass(frozen=True)
class ExplainedRecipe:
    """A variant, with the settings laid over it."""

    variant: str
    path: Path
    hash: str
    about: str  # what stands at the top of its file
    keys: tuple[ExplainedKey, ...]


def explain(workspace: Workspace, variant: str, settings: Sequence[str] = ()) -> ExplainedRecipe:
    """Every key of a variant in the order of its file; RecipeError where there is no such one."""
    from kaggle_hw4.recipe import read_recipe

    path = workspace.variant(variant)
    recipe, plain = read_recipe(path, settings), read_recipe(path)
    before = {name: value for name, value, _, _ in _keys(plain)}
    keys = tuple(
        ExplainedKey(name, value, values, meaning, path.name if before.get(name) == value else "-s")
        for name, value, values, meaning in _keys(recipe)
    )
    return ExplainedRecipe(path.stem, path, recipe.hash, _about(path), keys)


def _about(path: Path) -> str:
    """The comment at the top of a file, as one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def _keys(recipe: "BaseModel") -> Iterator[tuple[str, Any, str, str]]:
    """Name, value, range and meaning of every key, section by section."""
    for section in type(recipe).model_fields:
        value = getattr(recipe, section)
        if value is None:  # an optional section that it does not have
            continue
        parts = value if isinstance(value, list) else [value]
        for number, part in enumerate(parts):
            prefix = f"{section}.{number}" if len(parts) > 1 else section
            for key, field in type(part).model_fields.items():
                values = range_of(field.annotation, field.metadata)
                yield f"{prefix}.{key}", getattr(part, key), values, field.description or ""


def range_of(annotation: Any, bounds: Iterable[Any]) -> str:
    """The values that a field takes, in words."""
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if annotation is bool:
        return "true | false"
    if get_origin(annotation) is list:
        number, constraints = get_args(get_args(annotation)[0])
        return f"{range_of(number, constraints.metadata)}, or a list of them"
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(range_of(*_unpacked(part)) for part in get_args(annotation))
    if annotation not in (int, float):
        return "text"
    return _interval(annotation, list(bounds))


def _unpacked(part: Any) -> tuple[Any, Iterable[Any]]:
    """The type and the bounds of a part of a union."""
    if get_origin(part) is not Annotated:
        return part, ()
    kind, constraints = get_args(part)
    return kind, constraints.metadata


def _interval(kind: type, bounds: Sequence[Any]) -> str:
    from kaggle_hw4.settings import LARGEST

    limits = {name: getattr(b, name) for b in bounds for name in ("ge", "gt", "le", "lt")
              if getattr(b, name, None) is not None}  # fmt: skip
    low = f"{limits['ge']:,}" if "ge" in limits else f"above {limits.get('gt', '-∞')}"
    high = f"to {limits['le']:,}" if "le" in limits else f"to below {limits.get('lt')}"
    if limits.get("le", limits.get("lt", LARGEST)) == LARGEST:
        high = "or more" if "ge" in limits else ""
    number = "a whole number" if kind is int else "a number"
    return f"{number}, {low} {high}".rstrip()
