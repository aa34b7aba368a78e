"""The reliability diagram as a drawing: what chances said, and what came true."""

from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring  # XML is written here, never read

from agentroute.training.train import TierReport

SIDE: Final = 360
"""Of the square, in pixels."""

EDGE: Final = 60
COLOURS: Final = ("#1f6feb", "#d9822b", "#2e8b57", "#8250df", "#c62828", "#0b7285", "#9a6700", "#5c6675", "#111827")


def reliability_diagram(reports: Mapping[str, TierReport]) -> str:
    """Draw a line for each tier; a model that means what it says lies on the diagonal. Circles are as large as bins."""
    width, height = SIDE + 3 * EDGE + 220, SIDE + 2 * EDGE
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}", "role": "img"})
    SubElement(root, "title").text = "Reliability: chances that were told, and shares that came true"
    style = "text{font:13px system-ui,sans-serif;fill:#1f2733}"
    SubElement(root, "style").text = style
    SubElement(root, "rect", {"width": str(width), "height": str(height), "fill": "#fff"})
    _line(root, [(0.0, 0.0), (1.0, 1.0)], "#c9d0da")
    _line(root, [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)], "#c9d0da")
    for share in (0.0, 0.5, 1.0):
        x, y = _place(share, 0.0)
        _text(root, x, y + 20, f"{share:.0%}", "middle")
        x, y = _place(0.0, share)
        _text(root, x - 8, y + 4, f"{share:.0%}", "end")
    _text(root, EDGE + SIDE, EDGE + SIDE + 40, "chance that was told", "end")
    _text(root, EDGE - 40, EDGE - 20, "share that came true", "start")
    for number, (tier, report) in enumerate(reports.items()):
        colour = COLOURS[number % len(COLOURS)]
        _line(root, [(each.said, each.came) for each in report.bins], colour)
        for each in report.bins:
            x, y = _place(each.said, each.came)
            radius = 2 + 10 * (each.count / report.held_out) ** 0.5
            circle = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:.1f}", "fill": colour, "fill-opacity": "0.5"}
            SubElement(root, "circle", circle)
        y = EDGE + 24 * number
        SubElement(
            root, "rect", {"x": f"{2 * EDGE + SIDE}", "y": f"{y}", "width": "12", "height": "12", "fill": colour}
        )
        _text(root, 2 * EDGE + SIDE + 18, y + 11, tier, "start")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _place(x: float, y: float) -> tuple[float, float]:
    return EDGE + SIDE * x, EDGE + SIDE * (1.0 - y)


def _line(root: Element, points: list[tuple[float, float]], colour: str) -> None:
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point) for point in points))
    SubElement(root, "polyline", {"points": where, "fill": "none", "stroke": colour, "stroke-width": "1.5"})


def _text(root: Element, x: float, y: float, text: str, anchor: str) -> None:
    SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}).text = text
