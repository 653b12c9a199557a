"""matplotlib's SVG, made fit for a page: without styles, links and metadata, in the page's colours.

The page's content policy allows no style but its own, so every style becomes attributes. Colours
are variables of the page, which has a light and a dark set of them.
"""

import re
import xml.etree.ElementTree as ET

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
DROPPED = {"metadata", "style"}
INK, GRID, PAGE = "#000001", "#000002", "#000003"
SERIES = tuple(f"#0000{16 + k:02x}" for k in range(6))
VARIABLES = {colour: f"var(--{name})" for colour, name in ((GRID, "grid"), (PAGE, "page"))}
VARIABLES |= {INK: "currentColor"} | {colour: f"var(--c{k})" for k, colour in enumerate(SERIES)}
NUMBER = re.compile(r"-?\d+\.\d{2,}(?![\d%])")
REFERENCE = re.compile(r"#([\w-]+)")


def inline(svg: str, name: str, title: str, description: str) -> str:
    """The drawing `svg` as an element of a page; `name` begins all of its ids."""
    root = ET.fromstring(svg)  # noqa: S314  (drawn a moment ago)
    _clean(root)
    _rename_ids(root, name)
    box = root.get("viewBox", "")
    root.attrib = {
        "viewBox": box,
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-text",
    }
    for tag, text in (("desc", description), ("title", title)):
        part = ET.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'text'}"})
        part.text = text
        root.insert(0, part)
    return ET.tostring(root, encoding="unicode")


def _clean(element: ET.Element) -> None:
    element.tag = element.tag.removeprefix(SVG)
    element.tail = None
    if element.tag != "text":
        element.text = None
    element.attrib = _attributes(element)
    for child in list(element):
        if child.tag.rpartition("}")[2] in DROPPED:
            element.remove(child)
        else:
            _clean(child)


def _attributes(element: ET.Element) -> dict[str, str]:
    """The attributes of an element, those of its style included."""
    values: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key == "style":
            values |= _declarations(value)
        elif key != "transform" or not value.startswith("rotate(-0 "):
            values[key.removeprefix(XLINK)] = value
    return {key: _shortened(key, value) for key, value in values.items()}


def _declarations(style: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in style.split(";") if ":" in part)
    values = {key.strip(): value.strip() for key, _, value in pairs}
    font = values.pop("font", "")
    if size := re.search(r"([\d.]+)px", font):
        values["font-size"] = size[1]
    return values


def _shortened(key: str, value: str) -> str:
    """A value in the page's colours, with two decimals at most."""
    if key == "href" and value.startswith("data:"):
        return value
    value = VARIABLES.get(value, value)
    return NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)


def _rename_ids(root: ET.Element, name: str) -> None:
    """Keep only the ids that something refers to, and make them unique in the page."""
    references = {
        match
        for element in root.iter()
        for key, value in element.attrib.items()
        if (key == "href" and value.startswith("#")) or value.startswith("url(")
        for match in REFERENCE.findall(value)
    }
    new = {old: f"{name}-{number}" for number, old in enumerate(sorted(references))}
    for element in root.iter():
        if "id" in element.attrib:
            old = element.attrib.pop("id")
            if old in new:
                element.set("id", new[old])
        for key in ("href", "clip-path"):
            if element.get(key, "").startswith(("#", "url(")):
                element.set(key, REFERENCE.sub(lambda m: f"#{new[m[1]]}", element.attrib[key]))
