"""The tables of CHANGELOG.md lead from old names to names that exist."""

import re
from pathlib import Path

import pytest

from kaggle_hw4.recipe import read_recipe
from kaggle_hw4.settings import key_names
from kaggle_hw4.workspace import shipped

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def table(title: str) -> list[tuple[str, str]]:
    """The rows (old, new) of the table below a heading."""
    below = TEXT.split(f"### Changed: {title}\n")[1].split("\n###")[0]
    rows = re.findall(r"^\| (.+) \| (.+) \|$", below, re.MULTILINE)
    return rows[1:]


def test_the_new_names_of_keys_exist_and_the_old_ones_do_not() -> None:
    recipe = read_recipe(shipped("pipelines/variants/zoo/two_kinds.toml")).sections()
    known = {*key_names(recipe)} | set(recipe)
    rows = [row for row in table("keys of a recipe") if "KEY" not in "".join(row)]
    old, new = (
        {name for row in rows for name in re.findall(r"`\[*([a-z_.]+)[\]`\s]", row[side])}
        for side in (0, 1)
    )
    assert new <= known
    assert len(new) == len(rows) - 1, "[[networks]] stands for both of its old sections"
    assert not (old - new) & known


@pytest.mark.parametrize(("old", "new"), table("Python modules"))
def test_the_modules_of_the_new_names_exist(old: str, new: str) -> None:
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", new):
        assert (ROOT / "kaggle_hw4" / name).exists(), name


def test_versions_descend_and_only_the_newest_may_be_unreleased() -> None:
    versions = re.findall(r"^## ([\d.]+) \((unreleased|\d{4}-\d\d-\d\d)\)$", TEXT, re.MULTILINE)
    numbers = [tuple(map(int, version.split("."))) for version, _ in versions]
    assert numbers == sorted(numbers, reverse=True)
    assert all(date != "unreleased" for _, date in versions[1:])
