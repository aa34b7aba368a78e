"""Drawings in SVG, built as a tree, so that no text can be taken for markup."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring  # XML is written here, never read

SVG: Final = "http://www.w3.org/2000/svg"

MARGIN: Final = 20
"""Around a drawing that is a file of its own."""

Anchor: TypeAlias = Literal["start", "middle", "end"]


class Drawing:
    """Rectangles, lines and text of given classes; whoever shows the drawing says how the classes look.

    Args:
        width: In units of the drawing; it is shown as wide as there is room.
        height: The same.
        name: What it shows, in a sentence, for those who cannot see it.
    """

    def __init__(self, width: int, height: int, name: str) -> None:
        """Start with nothing drawn."""
        self._root = Element("svg", {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": name})
        self._size = (width, height)

    def rect(self, x: float, y: float, width: float, height: float, *, kind: str, tip: str = "") -> None:
        """Draw a bar; `tip` is shown by browsers when it is pointed at."""
        box = {"x": _n(x), "y": _n(y), "width": _n(width), "height": _n(height), "class": kind}
        bar = SubElement(self._root, "rect", box)
        if tip:
            SubElement(bar, "title").text = tip

    def line(self, x1: float, y1: float, x2: float, y2: float, *, kind: str) -> None:
        """Draw a line."""
        SubElement(self._root, "line", {"x1": _n(x1), "y1": _n(y1), "x2": _n(x2), "y2": _n(y2), "class": kind})

    def curve(self, points: Sequence[tuple[float, float]], *, kind: str) -> None:
        """Draw a line through points."""
        where = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        SubElement(self._root, "polyline", {"points": where, "class": kind})

    def ticks(self, xs: Iterable[float], y: float, height: float, *, kind: str) -> None:
        """Draw upright strokes of one height, as one shape however many there are."""
        strokes = "".join(f"M{_n(x)} {_n(y)}v{_n(height)}" for x in xs)
        SubElement(self._root, "path", {"d": strokes, "class": kind})

    def text(self, x: float, y: float, text: str, kind: str = "label", anchor: Anchor = "start") -> None:
        """Write text; `y` is where its letters stand."""
        where = {"x": _n(x), "y": _n(y), "class": kind, "text-anchor": anchor}
        SubElement(self._root, "text", where).text = text

    def inline(self) -> str:
        """As part of a page, which styles it."""
        return tostring(self._root, encoding="unicode")

    def file(self, style: str) -> str:
        """As a file of its own, with its style and on a light ground."""
        width, height = (str(side + 2 * MARGIN) for side in self._size)
        box = {"viewBox": f"{-MARGIN} {-MARGIN} {width} {height}", "width": width, "height": height}
        root = Element("svg", {"xmlns": SVG, **self._root.attrib, **box})
        SubElement(root, "style").text = style
        corner = str(-MARGIN)
        ground = {"x": corner, "y": corner, "width": width, "height": height, "class": "ground"}
        SubElement(root, "rect", ground)
        root.extend(self._root)
        return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
