"""Quality by cost, and success by budget, as drawings."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from agentroute.testing.scenario.reports.drawing import Drawing
from tests.benchmarks.tiers_lab.budgets import SHARES
from tests.benchmarks.tiers_lab.data import Floats

WIDTH: Final = 860
HEIGHT: Final = 440
LEFT, RIGHT = 60, 620
TOP, FLOOR = 40, 390

COLOURS: Final = ("#1f6feb", "#d9822b", "#2e8b57", "#8250df", "#5c6675", "#c62828", "#0b7285", "#9a6700", "#111827")

STYLE: Final = """\
.ground{fill:#fff}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#1f2733}
.head{font-weight:600}
.faint{fill:#5c6675}
.axis{stroke:#c9d0da;stroke-width:1}
.grid{stroke:#e6eaf0;stroke-width:1}
""" + "".join(
    f".line{n}{{fill:none;stroke:{colour};stroke-width:{2.5 if n == 0 else 1.5};stroke-linejoin:round}}"
    f".key{n}{{fill:{colour}}}\n"
    for n, colour in enumerate(COLOURS)
)

Lines = Mapping[str, Sequence[tuple[float, float]]]


def curve_plot(name: str, splits: Sequence[Mapping[str, tuple[Floats, Floats]]]) -> str:
    """Quality by cost as a share of always-expensive's, mean over the splits."""
    grid = np.linspace(0, 1.2, 121)
    lines: dict[str, list[tuple[float, float]]] = {}
    for router in splits[0]:
        heights: list[Floats] = []
        for split in splits:
            usd, right = split[router]
            order = np.argsort(usd, kind="stable")
            share = usd[order] / float(split["always expensive"][0][0])
            heights.append(np.interp(grid, share, right[order], left=np.nan, right=np.nan))
        mean = np.mean(heights, axis=0)
        lines[router] = [(float(x), float(y)) for x, y in zip(grid, mean, strict=True) if np.isfinite(y)]
        if router.startswith("always"):
            usd, right = (float(np.mean([split[router][n][0] for split in splits])) for n in (0, 1))
            x = usd / float(np.mean([split["always expensive"][0][0] for split in splits]))
            lines[router] = [(x - 0.008, right), (x + 0.008, right)]
    return _plot(f"{name}: share of right answers by cost", lines, "cost, as a share of always-expensive's")


def budget_plot(name: str, splits: Sequence[Mapping[str, Sequence[tuple[Floats, Floats]]]]) -> str:
    """Success of tasks by their budget, mean over the splits."""
    lines = {
        way: [(share, float(np.mean([split[way][n][0].mean() for split in splits]))) for n, share in enumerate(SHARES)]
        for way in splits[0]
    }
    return _plot(f"{name}: share of tasks that succeed by budget", lines, "budget, as a share of always-expensive's")


def _plot(title: str, lines: Lines, below: str) -> str:
    points = [point for line in lines.values() for point in line]
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    low, high = np.floor(low * 20) / 20, np.ceil(high * 20) / 20
    drawing = Drawing(WIDTH, HEIGHT, title)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - left) / (right - left)

    def y(value: float) -> float:
        return float(FLOOR - (FLOOR - TOP) * (value - low) / (high - low))

    drawing.text(0, 14, title, "head")
    for mark in np.arange(low, high + 1e-9, 0.05):
        drawing.line(LEFT, y(mark), RIGHT, y(mark), kind="grid")
        drawing.text(LEFT - 8, y(mark) + 4, f"{mark:.0%}", "faint", "end")
    for mark in np.arange(0.0, right + 1e-9, 0.1):
        if mark >= left - 1e-9:
            drawing.line(x(mark), FLOOR, x(mark), FLOOR + 5, kind="axis")
            drawing.text(x(mark), FLOOR + 20, f"{mark:.0%}", "faint", "middle")
    drawing.line(LEFT, FLOOR, RIGHT, FLOOR, kind="axis")
    drawing.text(RIGHT, FLOOR + 40, below, "faint", "end")
    for number, (name, line) in enumerate(lines.items()):
        drawing.curve([(x(a), y(b)) for a, b in line], kind=f"line{number % len(COLOURS)}")
        drawing.rect(RIGHT + 24, TOP + 24 * number, 12, 12, kind=f"key{number % len(COLOURS)}")
        drawing.text(RIGHT + 42, TOP + 24 * number + 11, name)
    return drawing.file(STYLE)
