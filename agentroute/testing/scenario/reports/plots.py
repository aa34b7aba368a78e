"""The plots of a session: verdicts, recovery, cost against the oracle, and the comparison of systems."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agentroute.testing.scenario.record import Session, Verdict
from agentroute.testing.scenario.reports.drawing import Drawing
from agentroute.testing.scenario.reports.intervals import Share, Spread, spread
from agentroute.testing.scenario.reports.totals import SystemTotals, Totals, totals
from agentroute.testing.scenario.reports.words import VERDICTS, count, counts, cut, duration, percent, verdicts

NARROW: Final = 560
"""Width of the plots of one system; text stays readable where two of them stand side by side."""

WIDTH: Final = 720
"""Width of the comparison."""

LEFT: Final = 130
"""Where bars begin when a name stands before them."""

COLOURS: Final = 5
"""Systems of a colour of their own; further ones start over."""

MOST_BINS: Final = 24
LONGEST_NAME: Final = 16

FILE_STYLE: Final = """\
.ground{fill:#fff}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;fill:#1f2733}
.head{font-weight:600}
.faint{fill:#5c6675}
.axis{stroke:#c9d0da;stroke-width:1}
.track{fill:#eef1f5}
.system0{fill:#1f6feb}.system1{fill:#d9822b}.system2{fill:#7a8594}.system3{fill:#8a5cd1}.system4{fill:#2c8c7c}
"""


# ---------------------------------------------------------------- one system


def verdict_plot(figures: Totals) -> str:
    """Scenarios by verdict, as one bar."""
    counted: list[tuple[Verdict, int]] = [(verdict, many) for verdict, many in verdicts(figures) if many]
    drawing = Drawing(NARROW, 84, counts(dict(counted)))
    drawing.rect(0, 0, NARROW, 34, kind="track")
    x = 0.0
    for verdict, many in counted:
        width = NARROW * many / figures.scenarios
        # A thin gap tells neighbours apart without colour.
        drawing.rect(x, 0, max(width - 2, 1.5), 34, kind=f"verdict-{verdict}", tip=f"{many:,} {VERDICTS[verdict]}")
        x += width
    x, y = 0.0, 46.0
    for verdict, many in counted:
        label = f"{many:,} {VERDICTS[verdict]}"
        width = 40 + 7.5 * len(label)
        if x + width - 20 > NARROW:
            x, y = 0.0, y + 20
        drawing.rect(x, y, 12, 12, kind=f"verdict-{verdict}")
        drawing.text(x + 18, y + 11, label)
        x += width
    return drawing.inline()


def recovery_plot(part: Share) -> str:
    """The recovery rate with its interval, on a scale from 0 to 100%; empty if there is none."""
    rate = part.rate
    if rate is None:
        return ""
    said = f"{percent(rate)} recovered, 95% interval {percent(part.low)} to {percent(part.high)}"
    drawing = Drawing(NARROW, 86, said)
    left, right, middle = 10, NARROW - 24, 32

    def x(value: float) -> float:
        return left + (right - left) * value

    drawing.rect(left, middle - 9, right - left, 18, kind="track")
    drawing.rect(left, middle - 9, x(rate) - left, 18, kind="verdict-held", tip=said)
    drawing.line(x(part.low), middle, x(part.high), middle, kind="whisker")
    for bound in (part.low, part.high):
        drawing.line(x(bound), middle - 14, x(bound), middle + 14, kind="whisker")
    for tick in range(0, 101, 25):
        drawing.line(x(tick / 100), middle + 18, x(tick / 100), middle + 23, kind="axis")
        drawing.text(x(tick / 100), middle + 40, f"{tick}%", "faint", "start" if tick == 0 else "middle")
    return drawing.inline()


def cost_plot(ratios: Sequence[float]) -> str:
    """How often each ratio of cost to the oracle's came up."""
    values = spread(ratios)
    bins = _bins([ratio for ratio in ratios if math.isfinite(ratio)])
    if values.p50 is None or values.p95 is None or not bins:
        return ""
    said = f"p50 {values.p50:.2f}, p95 {values.p95:.2f} times the least possible"
    drawing = Drawing(NARROW, 176, said)
    left, right, top, floor = 34, NARROW - 24, 26, 134
    first, last = bins[0].low, bins[-1].high
    most = max(each.many for each in bins)

    def x(value: float) -> float:
        return left + (right - left) * (value - first) / (last - first)

    for each in bins:
        height = (floor - top) * each.many / most
        tip = f"{count(each.many, 'run')} from {each.low:.2f} to {each.high:.2f}"
        if each.many:
            drawing.rect(x(each.low) + 1, floor - height, x(each.high) - x(each.low) - 2, height, kind="bar", tip=tip)
    drawing.line(left, floor, right, floor, kind="axis")
    drawing.text(left - 6, top + 10, f"{most:,}", "faint", "end")
    drawing.text(left - 6, floor, "0", "faint", "end")
    for tick in _ticks(first, last):
        drawing.line(x(tick), floor, x(tick), floor + 5, kind="axis")
        drawing.text(x(tick), floor + 20, f"{tick:g}", "faint", "middle")
    drawing.text(right, floor + 38, "times the least that the goal could have cost", "faint", "end")
    _marks(drawing, values, x, floor)
    return drawing.inline()


def _marks(drawing: Drawing, values: Spread, x: Callable[[float], float], floor: float) -> None:
    """Lines at p50 and p95; one line if they are close together."""
    p50, p95 = values.p50 or 0.0, values.p95 or 0.0
    together = x(p95) - x(p50) < 90
    marks = [(p95, f"p50 {p50:.2f}, p95 {p95:.2f}")] if together else [(p50, f"p50 {p50:.2f}"), (p95, f"p95 {p95:.2f}")]
    for value in (p50, p95):
        drawing.line(x(value), 18, x(value), floor, kind="mark")
    for value, label in marks:
        at_the_end = x(value) > NARROW - 150
        drawing.text(x(value) + (-5 if at_the_end else 5), 14, label, "label", "end" if at_the_end else "start")


@dataclass(frozen=True, slots=True)
class _Bin:
    low: float
    high: float
    many: int


def _bins(ratios: Sequence[float]) -> list[_Bin]:
    """Bins of a round width that hold every ratio, and 1.0 in any case."""
    if not ratios:
        return []
    low, high = min(1.0, *ratios), max(1.0, *ratios)
    width = _round_step(max(high - low, 0.1) / MOST_BINS)
    first = math.floor(low / width + 1e-9)
    number = math.floor(high / width + 1e-9) - first + 1
    heights = [0] * number
    for ratio in ratios:
        heights[min(max(math.floor(ratio / width + 1e-9) - first, 0), number - 1)] += 1
    return [_Bin((first + n) * width, (first + n + 1) * width, many) for n, many in enumerate(heights)]


def _ticks(first: float, last: float) -> list[float]:
    step = _round_step((last - first) / 8)
    start = math.ceil(first / step - 1e-9)
    return [round((start + n) * step, 10) for n in range(int((last - start * step) / step + 1e-9) + 1)]


def _round_step(least: float) -> float:
    """The least of 1, 2 or 5 times a power of ten that is no less than `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step for factor in (1, 2, 5, 10) if (step := factor * power) >= least * (1 - 1e-9))


# ---------------------------------------------------------------- systems side by side


@dataclass(frozen=True, slots=True)
class _Bars:
    """A group of bars, one for each system.

    Attributes:
        name: What is measured.
        better: Which way is better.
        value: A system's figure; None if it has none.
        label: The figure for people.
        scale: What the full width stands for; None for the greatest figure.
    """

    name: str
    better: str
    value: Callable[[SystemTotals], float | None]
    label: Callable[[SystemTotals], str]
    scale: float | None = None


GROUPS: Final = (
    _Bars(
        "Correct",
        "more is better",
        lambda each: each.correct / each.runs if each.runs else None,
        lambda each: f"{each.correct:,} of {each.runs:,}",
        1.0,
    ),
    _Bars("Silent failures", "none is right", lambda each: each.silent, lambda each: f"{each.silent:,}"),
    _Bars("Model calls", "fewer is better", lambda each: each.llm_calls, lambda each: f"{each.llm_calls:,}"),
    _Bars("Duplicate effects", "none is right", lambda each: each.duplicates, lambda each: f"{each.duplicates:,}"),
    _Bars(
        "Time to recover, p50",
        "less is better",
        lambda each: each.recovery_s.p50,
        lambda each: duration(each.recovery_s.p50) if each.recovery_s.count else "not measured",
    ),
)

BAR: Final = 18
GROUP_HEAD: Final = 26
GROUP_GAP: Final = 16


def comparison_plot(systems: Sequence[SystemTotals]) -> str:
    """Systems side by side, as part of a page."""
    return _comparison(systems).inline()


def comparison_svg(session: Session) -> str:
    """Systems side by side, as a file of its own: on a light ground, for documentation."""
    return _comparison(totals(session).systems).file(FILE_STYLE)


def _comparison(systems: Sequence[SystemTotals]) -> Drawing:
    group = GROUP_HEAD + BAR * len(systems) + GROUP_GAP
    said = "; ".join(f"{bars.name}: {', '.join(f'{_name(s)} {bars.label(s)}' for s in systems)}" for bars in GROUPS)
    drawing = Drawing(WIDTH, group * len(GROUPS), said)
    for number, bars in enumerate(GROUPS):
        _group(drawing, bars, systems, group * number)
    return drawing


def _group(drawing: Drawing, bars: _Bars, systems: Sequence[SystemTotals], top: int) -> None:
    drawing.text(0, top + 16, bars.name, "head")
    drawing.text(WIDTH, top + 16, bars.better, "faint", "end")
    room = WIDTH - LEFT - 110
    full = bars.scale or max((bars.value(each) or 0 for each in systems), default=0)
    for number, each in enumerate(systems):
        y = top + GROUP_HEAD + BAR * number
        value = bars.value(each) or 0
        width = room * value / full if full else 0
        drawing.text(LEFT - 10, y + 12.5, _name(each), "label", "end")
        drawing.rect(LEFT, y + 1, room, BAR - 4, kind="track")
        if width:
            drawing.rect(
                LEFT, y + 1, width, BAR - 4, kind=f"system{number % COLOURS}", tip=f"{_name(each)}: {bars.label(each)}"
            )
        drawing.text(LEFT + room + 8, y + 12.5, bars.label(each))


def _name(each: SystemTotals) -> str:
    return cut(each.system, LONGEST_NAME)
