"""hw4: from the official folder of ML2022 Spring HW4 to the top of its leaderboard.

From Python: `Project` has a method for every stage, `synthesise` writes a synthetic dataset. Each
name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from kaggle_hw4.data.corpus import Corpus
    from kaggle_hw4.data.folds import Folds
    from kaggle_hw4.errors import Hw4Error
    from kaggle_hw4.project import Project, synthesise
    from kaggle_hw4.recipe import Recipe, read_recipe
    from kaggle_hw4.run_manifest import Manifest
    from kaggle_hw4.runs import Run

__all__ = [
    "Corpus",
    "Folds",
    "Hw4Error",
    "Manifest",
    "Project",
    "Recipe",
    "Run",
    "read_recipe",
    "synthesise",
]
_MODULES = {
    "Corpus": "data.corpus",
    "Folds": "data.folds",
    "Hw4Error": "errors",
    "Manifest": "run_manifest",
    "Project": "project",
    "Recipe": "recipe",
    "Run": "runs",
    "read_recipe": "recipe",
    "synthesise": "project",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
