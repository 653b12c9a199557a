"""docs/performance.md and docs/performance.json, from the measured parts."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.bench.machine import Machine
from benchmarks.bench.results import Curve, Measurement, Part, Ratio, interval

INTRODUCTION = """# Performance, measured

Written by `{command}`, all in one run; nothing here is edited by hand. Figures are medians; in
brackets, the interval of the median (of five samples: the extremes, 94 %). What is compared was
measured in turn (A B C A B C …), so that whatever else the machine did slowed all of it down, and
ratios are medians over the turns. All samples: [{json}]({json}).
"""
LIMITS = (
    "*limit*: what the ratio would be if ours did nothing but its matrix products and "
    "convolutions, at the rates of this processor at their shapes, measured in the same run.\n\n"
)


@dataclass(frozen=True)
class Report:
    """A run of the benchmark."""

    machine: Machine
    command: str
    seconds: float
    parts: list[Part]

    def write(self, folder: Path, name: str) -> Path:
        """Write both files; return the path of the page."""
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / f"{name}.json"
        data.write_text(json.dumps(self.plain(), indent=1, ensure_ascii=False) + "\n")
        page = folder / f"{name}.md"
        page.write_text(self.markdown(data.name), encoding="utf-8")
        return page

    def plain(self) -> dict[str, object]:
        """For JSON, with the medians and the exponents that follow from the samples."""
        parts = [asdict(part) for part in self.parts]
        for part, values in zip(self.parts, parts, strict=True):
            for kind in ("measurements", "ratios"):
                for each, value in zip(getattr(part, kind), values[kind], strict=True):
                    value["median"] = each.median
            for curve, value in zip(part.curves, values["curves"], strict=True):
                slope, error = curve.exponent()
                value["exponent"] = slope
                value["standard_error"] = None if math.isnan(error) else error
        return {
            "command": self.command,
            "machine": asdict(self.machine),
            "seconds": self.seconds,
            "parts": parts,
        }

    def markdown(self, data: str) -> str:
        sections = [INTRODUCTION.format(command=self.command, json=data), self._machine()]
        ratios = [r for part in self.parts for r in part.ratios if r.target]
        if ratios:
            sections.append("## Targets\n\n" + targets(ratios))
        sections += [section(part) for part in self.parts]
        return "\n".join(sections)

    def _machine(self) -> str:
        values = [
            (f.name.replace("_", " "), getattr(self.machine, f.name)) for f in fields(Machine)
        ]
        values.append(("minutes of this run", round(self.seconds / 60, 1)))
        return "## The machine\n\n" + table(("", ""), [(k, str(v)) for k, v in values])


def section(part: Part) -> str:
    lines = [f"## {part.title}\n", part.text.strip() + "\n"]
    if part.measurements:
        rows = [(m.name, figure(m.median, m.unit), span(m), str(len(m.samples)))
                for m in part.measurements]  # fmt: skip
        lines.append(table(("", "median", "interval", "n"), rows))
    if part.ratios:
        lines.append(
            table(("ratio", "median", "interval", "n"), [ratio_row(r) for r in part.ratios])
        )
    lines += [curve_table(curve) for curve in part.curves]
    return "\n".join(lines)


def targets(ratios: Iterable[Ratio]) -> str:
    rows = [
        (
            *ratio_row(r)[:3],
            r.target,
            "yes" if r.met else "**no**",
            "" if r.limit is None else digits(r.limit),
        )
        for r in ratios
    ]
    return LIMITS + table(("", "median", "interval", "target", "met", "limit"), rows)


def ratio_row(ratio: Ratio) -> tuple[str, ...]:
    low, high = interval(ratio.samples)
    span = f"[{digits(low)}, {digits(high)}]"
    return ratio.name, digits(ratio.median), span, str(len(ratio.samples))


def curve_table(curve: Curve) -> str:
    slope, error = curve.exponent()
    spread = "" if math.isnan(error) else f" ± {error:.2f}"
    rows = [
        (f"{size:,}", figure(cost.median, cost.unit), span(cost), str(len(cost.samples)))
        for size, cost in zip(curve.sizes, curve.costs, strict=True)
    ]
    title = (
        f"**{curve.name[0].upper()}{curve.name[1:]}** grows as {curve.size} ^ {slope:.2f}{spread}\n"
    )
    return title + "\n" + table((curve.size, "median", "interval", "n"), rows)


def span(measurement: Measurement) -> str:
    low, high = (figure(value, measurement.unit) for value in measurement.interval)
    return f"[{low}, {high}]"


def figure(value: float, unit: str) -> str:
    """Three digits and a unit; short times in milliseconds."""
    if unit == "s" and value < 1:
        return f"{digits(1000 * value)} ms"
    return f"{digits(value)} {unit}"


def digits(value: float) -> str:
    """Three of them."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; all columns but the first are aligned right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))
