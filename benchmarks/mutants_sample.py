"""The sample of `make mutants`: Cosmic Ray's mutants of the code, and which of them are drawn."""

import csv
import random
import re
import tomllib
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
SAMPLE = ROOT / "benchmarks" / "mutants.csv"
PATHS = re.compile(r"folder|path|root|source|studies|\bf\b")  # whose / is no division
GUARDS = ("strict", "frozen", "slots")  # arguments that only forbid mistakes in the code
COLUMNS = ("path", "line", "operator", "before", "after", "drawn", "outcome", "by", "reason")
Row = dict[str, str]  # by COLUMNS


def read_sample() -> list[Row]:
    with SAMPLE.open(newline="") as file:
        return list(csv.DictReader(file))


def write_sample(rows: Sequence[Row]) -> None:
    with SAMPLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def draw(code: Path) -> list[Row]:
    """From each package as many as its share of all the mutants."""
    chance = random.Random(CONFIG["seed"])  # noqa: S311
    files = {p: sorted((code / "kaggle_hw4" / p).glob("*.py")) for p in CONFIG["packages"]}
    strata = [
        [row for path in paths for row, _ in mutants(code, str(path.relative_to(code)))]
        for paths in files.values()
    ]
    sizes = [0, *map(len, strata)]
    ends = [round(CONFIG["sample"] * sum(sizes[: k + 1]) / sum(sizes)) for k in range(len(sizes))]
    numbers = (end - begin for begin, end in pairwise(ends))
    return [
        row for stratum, n in zip(strata, numbers, strict=True) for row in chance.sample(stratum, n)
    ]


def locate(code: Path, row: Row) -> tuple[Row, str] | None:
    """The mutant of a row, and the changed source, at the nearest line that still is the same."""
    same = [
        (abs(int(other["line"]) - int(row["line"])), number, other, changed)
        for number, (other, changed) in enumerate(mutants(code, row["path"]))
        if all(other[column] == row[column] for column in ("operator", "before", "after"))
    ]
    return min(same)[2:] if same else None


def mutants(code: Path, path: str) -> Iterator[tuple[Row, str]]:
    """The mutants of a file, as rows of the sample and as the changed source."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = (code / path).read_text()
    tree = get_ast(source)
    for name in CONFIG["operators"]:
        operator, occurrence = get_operator(f"core/{name}")(), count()
        positions = (p for node in ast_nodes(tree) for p in operator.mutation_positions(node))
        for (line, column), _ in positions:
            changed = mutate_code(source, operator, next(occurrence))
            leaf = tree.get_leaf_for_position((line, column + 1), include_prefixes=True)
            if not _excluded(name, leaf) and _is_python(changed):
                before, after = (t.splitlines()[line - 1].strip() for t in (source, changed))
                values = (path, str(line), name, before, after, "", "", "", "")
                yield dict(zip(COLUMNS, values, strict=True)), changed


def _is_python(source: str) -> bool:
    try:
        return bool(compile(source, "", "exec"))
    except SyntaxError:
        return False


def _excluded(operator: str, leaf: Any) -> bool:
    """Texts, decorators, indices, tolerances, paths and guards."""
    parent, node = leaf.parent, leaf
    while node := node.parent:
        if node.type in ("fstring", "decorator"):
            return True
    if operator == "NumberReplacer":
        index = parent.type in ("trailer", "subscript", "subscriptlist")
        return index or 0 < abs(float(leaf.value)) < 1e-3
    if "Binary" in operator:
        if parent.type not in ("arith_expr", "term", "power"):
            return True
        texts = [n.type in ("string", "fstring", "strings") for n in parent.children]
        return any(texts) or any(PATHS.search(n.get_code()) for n in parent.children)
    if operator.startswith(("ReplaceTrue", "ReplaceFalse")) and parent.type == "argument":
        return parent.children[0].value in GUARDS
    return operator == "AddNot" and "TYPE_CHECKING" in parent.get_code()
