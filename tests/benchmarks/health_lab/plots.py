"""What health makes of a load over time: the weights of the tools, and the routes that runs took."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from agentroute.ids import NANOS_PER_USD
from agentroute.testing.scenario.reports.drawing import Drawing
from tests.benchmarks.health_lab.measures import first_calls
from tests.benchmarks.health_lab.play import Play, Sample
from tests.benchmarks.health_lab.providers import Call

PLOTTED: Final[Mapping[str, str]] = {
    "slow": "slow x10, 60-180 s",
    "flapping": "flapping, 90 s up, 30 s down",
    "outage": "outage of 30 s, backup x3",
}
"""Loads that are drawn, by the name of the file."""

WIDTH: Final = 860
HEIGHT: Final = 430
LEFT, RIGHT = 130, 840
TOP, FLOOR = 64, 234
SHARE_TOP, SHARE_FLOOR = 270, 330
ROW: Final = 15
"""Height of the strokes of one tool."""

BIN_S: Final = 5.0
"""Seconds that a share is told from."""

STYLE: Final = """\
.ground{fill:#fff}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#1f2733}
.head{font-weight:600}
.faint{fill:#5c6675}
.axis{stroke:#c9d0da;stroke-width:1}
.grid{stroke:#e6eaf0;stroke-width:1}
.spell{fill:#fbe3e1}
.line0,.line1{fill:none;stroke-width:2;stroke-linejoin:round}
.line0{stroke:#1f6feb}.line1{stroke:#d9822b}
.key0{fill:#1f6feb}.key1{fill:#d9822b}
.share{fill:#1f6feb;fill-opacity:.75}
.tick0{stroke:#1f6feb;stroke-width:.8}.tick1{stroke:#d9822b;stroke-width:.8}
.tickbad{stroke:#c62828;stroke-width:1.2}
"""

X = Callable[[float], float]


def plot(played: Play) -> str:
    """Draw a play whose weights were watched, as an SVG file."""
    name = played.load.name
    end = max(call.at for call in played.calls)
    drawing = Drawing(WIDTH, HEIGHT, f"Weights and routes over time: {name}")

    def x(at: float) -> float:
        return LEFT + (RIGHT - LEFT) * at / end

    drawing.text(0, 14, f"{name[0].upper()}{name[1:]}", "head")
    _spells(drawing, played, x, end)
    _weights(drawing, played.samples, _tools(played), x)
    first = first_calls(played.calls)
    _shares(drawing, first, x, end)
    _routes(drawing, first, _tools(played), x)
    _seconds(drawing, x, end)
    _legend(drawing, _tools(played))
    return drawing.file(STYLE)


def _tools(played: Play) -> list[str]:
    return [service.name for service in played.load.services]


def _legend(drawing: Drawing, tools: Sequence[str]) -> None:
    at = LEFT
    for kind, label in [*((f"key{n}", tool) for n, tool in enumerate(tools)), ("spell", "the primary is bad")]:
        drawing.rect(at, 30, 12, 12, kind=kind)
        drawing.text(at + 18, 41, label)
        at += 46 + 7 * len(label)
    drawing.text(RIGHT, 41, "a line ends where the tool is not to be called", "faint", "end")


def _spells(drawing: Drawing, played: Play, x: X, end: float) -> None:
    """Shade when the primary is bad."""
    bad = (service for service in played.load.services if service.name in played.load.bad)
    for begins, ends in (spell for service in bad for trouble in service.troubles for spell in trouble.spells(end)):
        drawing.rect(x(begins), TOP, x(ends) - x(begins), SHARE_FLOOR + 2 * ROW + 22 - TOP, kind="spell")


def _weights(drawing: Drawing, samples: Sequence[Sample], tools: Sequence[str], x: X) -> None:
    """Weights on a logarithmic axis."""
    values = [weight / NANOS_PER_USD for sample in samples for weight in sample.weights.values()]
    low, high = math.log10(min(values) * 0.8), math.log10(max(values) * 1.25)

    def y(usd: float) -> float:
        return FLOOR - (FLOOR - TOP) * (math.log10(usd) - low) / (high - low)

    for mark in _marks(low, high):
        drawing.line(LEFT, y(mark), RIGHT, y(mark), kind="grid")
        drawing.text(LEFT - 8, y(mark) + 4, f"{mark:g}", "faint", "end")
    drawing.text(0, TOP + 12, "weight,")
    drawing.text(0, TOP + 29, "USD")
    for number, tool in enumerate(tools):
        for stretch in _stretches(samples, tool):
            drawing.curve([(x(at), y(weight / NANOS_PER_USD)) for at, weight in stretch], kind=f"line{number}")
    drawing.line(LEFT, FLOOR, RIGHT, FLOOR, kind="axis")


def _marks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten."""
    numbers = [n * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for n in (1, 1.5, 2, 3, 5, 7)]
    return [number for number in numbers if low <= math.log10(number) <= high]


def _stretches(samples: Sequence[Sample], tool: str) -> Iterator[list[tuple[float, float]]]:
    """The times in a row in which a tool had a weight."""
    stretch: list[tuple[float, float]] = []
    for sample in samples:
        weight = sample.weights.get(tool)
        if weight is not None:
            stretch.append((sample.at, weight))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _shares(drawing: Drawing, first: Sequence[Call], x: X, end: float) -> None:
    """Share of the runs that began with the primary."""
    drawing.text(0, SHARE_TOP + 12, "runs that")
    drawing.text(0, SHARE_TOP + 29, "begin with")
    drawing.text(0, SHARE_TOP + 46, "primary")
    for share, label in ((0.0, "0"), (1.0, "100%")):
        y = SHARE_FLOOR - (SHARE_FLOOR - SHARE_TOP) * share
        drawing.line(LEFT, y, RIGHT, y, kind="axis" if not share else "grid")
        drawing.text(LEFT - 8, y + 4, label, "faint", "end")
    for number in range(math.ceil(end / BIN_S)):
        begins, ends = number * BIN_S, min(end, (number + 1) * BIN_S)
        calls = [call for call in first if begins <= call.at < ends]
        if calls:
            height = (SHARE_FLOOR - SHARE_TOP) * sum(call.tool == "primary" for call in calls) / len(calls)
            drawing.rect(x(begins), SHARE_FLOOR - height, x(ends) - x(begins), height, kind="share")


def _routes(drawing: Drawing, first: Sequence[Call], tools: Sequence[str], x: X) -> None:
    """A stroke for each run, in the row of the tool that it began with; red where that call was bad."""
    for number, tool in enumerate(tools):
        y = SHARE_FLOOR + 10 + number * (ROW + 4)
        drawing.text(LEFT - 8, y + 12, tool, "faint", "end")
        calls = [call for call in first if call.tool == tool]
        drawing.ticks((x(call.at) for call in calls if not call.bad), y, ROW, kind=f"tick{number}")
        drawing.ticks((x(call.at) for call in calls if call.bad), y, ROW, kind="tickbad")


def _seconds(drawing: Drawing, x: X, end: float) -> None:
    y = SHARE_FLOOR + 2 * ROW + 26
    drawing.line(LEFT, y, RIGHT, y, kind="axis")
    step = 30 if end <= 330 else 60
    for at in range(0, int(end) + 1, step):
        drawing.line(x(at), y, x(at), y + 5, kind="axis")
        drawing.text(x(at), y + 20, f"{at}", "faint", "middle")
    drawing.text(
        RIGHT, y + 38, "seconds; each stroke is a run, red where its first call failed or was slow", "faint", "end"
    )
