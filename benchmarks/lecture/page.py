"""docs/lecture/<corpus>.json, reader and writer; and the marked blocks of docs/lecture.md."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.lecture.claims import Claim

BLOCK = re.compile(r"<!-- measured: (\w+) -->.*?<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """The claims of one corpus, and how they were measured; `pictures`: whose are shown."""

    corpus: str
    command: str
    description: str
    pictures: bool
    claims: tuple[Claim, ...]

    def save(self, folder: Path) -> None:
        """Write it, with the claims that were measured before and not now; pictures stay shown."""
        path = folder / f"{slug(self.corpus)}.json"
        before = read(path) if path.is_file() else replace(self, claims=())
        known = {claim.key: claim for claim in (*before.claims, *self.claims)}
        claims = [asdict(claim) for claim in known.values()]
        values = asdict(self) | {"pictures": self.pictures or before.pictures, "claims": claims}
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def read(path: Path) -> Measured:
    values = json.loads(path.read_text(encoding="utf-8"))
    claims = []
    for claim in values.pop("claims"):
        rows = tuple(tuple(row) for row in claim.pop("rows"))
        claims.append(Claim(**claim | {"columns": tuple(claim["columns"]), "rows": rows}))
    return Measured(**values, claims=tuple(claims))


def read_all(folder: Path) -> list[Measured]:
    """What was measured on every corpus: synthetic first, real speech behind it."""
    every = [read(path) for path in folder.glob("*.json")]
    return sorted(every, key=lambda measured: (measured.corpus != "synthetic", measured.corpus))


def fill(page: Path, folder: Path) -> None:
    """Write what was measured into the blocks of the page."""
    every = read_all(folder)
    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(lambda match: block(match[1], every), text), encoding="utf-8")


def block(key: str, every: Sequence[Measured]) -> str:
    body = conditions(every) if key == "conditions" else claim_block(key, every)
    return f"<!-- measured: {key} -->\n{body}<!-- end -->"


def conditions(every: Sequence[Measured]) -> str:
    return "".join(f"- **{m.corpus}**: {m.description} `{m.command}`\n" for m in every)


def claim_block(key: str, every: Sequence[Measured]) -> str:
    """The claim, its answer on every corpus, a table of all of them, and the picture."""
    named = [(m, claim) for m in every for claim in m.claims if claim.key == key]
    if not named:
        return ""
    first = named[-1][1]
    several = len(every) > 1
    head = (["corpus"] if several else []) + list(first.columns)
    rows = [([m.corpus] if several else []) + list(row) for m, claim in named for row in claim.rows]
    lines = [
        f"► **{first.text}.** {answer(named, several)} The rule: {first.rule}.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    shown = [claim for m, claim in named if claim.picture and m.pictures]
    if shown:
        claim = shown[-1]
        lines += ["", f"![{claim.text}](lecture/{claim.picture}.svg)", "", f"*{claim.caption}*"]
    return "\n".join(lines) + "\n"


def answer(named: Sequence[tuple[Measured, Claim]], several: bool) -> str:
    """Whether the claim holds; where there are several corpora, on which."""
    words = {True: "Confirmed", False: "**Not confirmed**", None: "Measured"}
    if not several:
        return f"{words[named[0][1].holds]}."
    parts = []
    for holds, word in words.items():
        if names := [m.corpus for m, claim in named if claim.holds is holds]:
            parts.append(f"{word} on {' and on '.join(names)}.")
    return " ".join(parts)
