"""hw4 recipe: every key of a variant, explained."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaggle_hw4.cli.options import AsJson, NamedVariant, Root, Settings, Variant, one_variant
from kaggle_hw4.cli.output import page, show
from kaggle_hw4.workspace import Workspace, shown

if TYPE_CHECKING:
    from kaggle_hw4.stages.explain import ExplainedKey, ExplainedRecipe


def add_to(app: typer.Typer) -> None:
    app.command("recipe")(recipe_command)


def recipe_command(
    variant: Variant = None,
    named: NamedVariant = None,
    section: Annotated[
        str | None,
        typer.Option(metavar="SECTION", help="Only the keys of one section, such as augment."),
    ] = None,
    settings: Settings = None,
    workspace: Root = None,
    as_json: AsJson = False,
) -> None:
    """Explain every key of a recipe: value, range, meaning.

    A key is changed with -s SECTION.KEY=VALUE in `hw4 train` and `hw4 tune`, or in a copy of the
    file in pipelines/variants.

    Example: hw4 recipe boss
    """
    from shlex import quote

    from kaggle_hw4.errors import UsageError
    from kaggle_hw4.stages.explain import explain

    name = one_variant(variant, named, "hw4 recipe boss")
    recipe = explain(Workspace.at(workspace), name, settings or [])
    sections = list(dict.fromkeys(_section(key) for key in recipe.keys))
    if section is not None and section not in sections:
        known = f"the sections are {', '.join(sections)}"
        raise UsageError(f"there is no section {section!r}", known, "section")
    chosen = [key for key in recipe.keys if section in (None, _section(key))]
    then = " ".join(["hw4 train", name, *(f"-s {quote(each)}" for each in settings or ())])
    show(recipe, as_json, lambda: _explained(recipe, chosen), then)


def _section(key: "ExplainedKey") -> str:
    return key.name.partition(".")[0]


def _explained(recipe: "ExplainedRecipe", keys: "list[ExplainedKey]") -> Any:
    import json

    lines = [f"{recipe.variant} ({shown(recipe.path)}, recipe {recipe.hash})", recipe.about]
    for section, members in groupby(keys, lambda key: key.name.rpartition(".")[0]):
        lines += ["", f"[{section}]"]
        for key in members:
            changed = "" if key.source != "-s" else "  (by -s)"
            name = key.name.rpartition(".")[2]
            lines.append(f"  {name} = {json.dumps(key.value)}{changed}    {key.range}")
            lines.append(f"      {key.meaning}")
    return page(*lines)
