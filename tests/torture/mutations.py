"""Structured mutations of JSON, TOML and tables, as a function of a random generator."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

DEEP = 20_000  # levels of nesting
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "",
    "x" * 200_000, "\x1b[31m[bold]red", "a\nb", "\x00", "\u202e", "é", "../../x", [], {}, [[]],
    "[/]", {"": ""}, [None], "1", "0.5", "true", "inf", "id00042",
)  # fmt: skip
ENCODINGS = ("utf-8-sig", "utf-16", "utf-32", "utf-8")
CELLS = (
    "", " ", "-1", "1e999", "nan", "0,5", "0.5", "50%", '"', '"a', "=1+1", "\x00", "\x1b[2J",
    "[red]", "x" * 140_000, "٣", "\u202e", "1" * 5000, "output_.csv", "_V1", "Boss_V" + "9" * 400,
    "0.78825",
    "1,2,3", "2022-99-99 12:00:00", "SubmissionStatus.ERROR", "a\tb", "\r", "0x1F", "1_0", "Ⅷ",
)  # fmt: skip


def mutate(name: str, data: bytes, random: Random) -> bytes:
    """One to three mutations that know the format of the file `name`."""
    if random.random() < 0.1:
        return _bytes(data, random)
    text = data.decode()
    for _ in range(random.randint(1, 3)):
        text = _mutation(name)(text, random)
    encoding = random.choice(ENCODINGS) if random.random() < 0.15 else "utf-8"
    return text.encode(encoding, errors="surrogatepass")


def rewrite(name: str, data: bytes, random: Random) -> bytes:
    """The same content as another program writes it: encoding, ends of lines, layout."""
    text = data.decode()
    if name.endswith(".json"):
        text = json.dumps(json.loads(text), indent=random.choice([None, 1, 4, "\t"]))
    if random.random() < 0.5:
        text = text.replace("\n", "\r\n")
    return text.encode(random.choice(ENCODINGS))


def _mutation(name: str) -> Callable[[str, Random], str]:
    suffix = name.rpartition(".")[2]
    return {"json": _json, "toml": _toml, "jsonl": _lines, "log": _lines}.get(suffix, _table)


def _bytes(data: bytes, random: Random) -> bytes:
    """Damage that knows nothing: bytes cut out, doubled or random."""
    a, b = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return random.choice([data[:a] + data[b:], data[:b] + data[a:], data[:a] + random.randbytes(9)])


def _json(text: str, random: Random) -> str:
    """A value replaced, dropped, renamed or written twice; or the syntax spoiled."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text[: random.randrange(len(text) + 1)]
    match random.randrange(8):
        case 0:
            return text.replace(":", ":" + "[" * DEEP + "]" * DEEP + ",", 1)
        case 1:
            return text.replace("{", '{"a": 1, "a": 2, ', 1)
        case 2:
            return re.sub(r"\d+", lambda match: "9" * 5000, text, count=1)
        case 3:
            return text.replace("}", ",}", 1)
    places = list(_places(value))
    if not places:
        return json.dumps(random.choice(VALUES))
    holder, key = random.choice(places)
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(["", "format", "\x1b[0m", "x" * 300])] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            holder[key] = random.choice(VALUES)
    return json.dumps(value)


def _places(value: Any) -> Any:
    """Every (container, key) of a JSON value; of long lists the beginning."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:5])
    for key, each in list(items):
        yield value, key
        if isinstance(each, dict | list):
            yield from _places(each)


def _lines(text: str, random: Random) -> str:
    """JSON Lines: one line mutated, dropped, doubled or swapped with another."""
    lines = text.splitlines() or [""]
    place = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            other = random.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        case _:
            lines[place] = _json(lines[place], random)
    return "\n".join(lines) + "\n"


def _toml(text: str, random: Random) -> str:
    """A line of a TOML file mutated, dropped, doubled; sections replaced by scalars."""
    lines = text.splitlines() or [""]
    keys = [n for n, line in enumerate(lines) if line and not line.startswith("#")]
    place = random.choice(keys or [0])
    name, equals, _ = lines[place].partition("=")
    match random.randrange(7):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            lines[place] = re.sub(r"\[+([\w.]+)\]+", r"\1 = 3", lines[place])
        case 3 if equals:
            lines[place] = f"{name}= {'[' * DEEP}{']' * DEEP}"
        case 4 if equals:
            lines[place] = f"{name}= {'9' * 5000}"
        case 5:
            lines.insert(
                place, random.choice(['a.b.c = "\\u001b"', "[x]", "= 1", '"" = {}', "\x00"])
            )
        case _ if equals:
            written = json.dumps(random.choice(VALUES)).replace("null", "1979-05-27T07:32:00Z")
            lines[place] = f"{name}= {written.replace('NaN', 'nan').replace('Infinity', 'inf')}"
    return "\n".join(lines) + "\n"


def _table(text: str, random: Random) -> str:
    """A cell or a row of a table mutated; another delimiter, another header."""
    lines = text.splitlines() or [""]
    place = random.randrange(len(lines))
    cells = re.split("([,\t])", lines[place])
    match random.randrange(8):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[place])
        case 2:
            return text.replace(",", random.choice([";", "\t", "|", " "]))
        case 3:
            lines[0] = random.choice(["", "a,b,c", "fileName,fileName", lines[-1], "Id"])
        case 4:
            return text.replace("\n", random.choice(["\r\n", "\r", "\n\n"]))
        case _:
            cells[2 * random.randrange((len(cells) + 1) // 2)] = random.choice(CELLS)
            lines[place] = "".join(cells)
    return "\n".join(lines) + "\n"
