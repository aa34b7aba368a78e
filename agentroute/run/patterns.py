"""Regular expressions over texts from outside, in time that grows no faster than the text.

`re` tries one way after the other, and a hostile text can make it try them for years. Here all ways are gone at once
(Thompson, "Regular expression search algorithm", 1968), and what has been worked out for a set of places and a
character is kept. `re` still reads the pattern, and says what a single character or an anchor matches.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias

_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001  # what `re` itself reads patterns with

LARGEST = 500
"""Places that a pattern may have; a character costs no more than looking at each of them."""

MOST_WAYS = 100
"""Ways that `re` is allowed to try from one place of the text on."""

MOST_KEPT = 20_000
"""Steps that are kept before all are forgotten."""

Items: TypeAlias = Sequence[tuple[Any, Any]]
Places: TypeAlias = frozenset[int]

CATEGORIES = {
    f"CATEGORY_{name}": letter
    for name, letter in (
        ("DIGIT", r"\d"),
        ("NOT_DIGIT", r"\D"),
        ("SPACE", r"\s"),
        ("NOT_SPACE", r"\S"),
        ("WORD", r"\w"),
        ("NOT_WORD", r"\W"),
    )
}
ANCHORS = {
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": r"\A",
    "AT_END": "$",
    "AT_END_STRING": r"\Z",
    "AT_BOUNDARY": r"\b",
    "AT_NON_BOUNDARY": r"\B",
}
UNBOUNDED = {
    "ASSERT": "a look-ahead or look-behind",
    "ASSERT_NOT": "a look-ahead or look-behind",
    "GROUPREF": "a reference to a group",
    "GROUPREF_EXISTS": "a reference to a group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive repetition",
}
REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
CHARACTERS = ("LITERAL", "NOT_LITERAL", "ANY", "IN")


@lru_cache(maxsize=256)
def finder(pattern: str) -> Callable[[str], bool]:
    """What tells whether a pattern is found somewhere in a text; case does not matter.

    Raises:
        re.error: It is no pattern.
        ValueError: How long it takes could not be bounded: it repeats something, and looks around or back or is large.
    """
    items: Any = _parser.parse(pattern, re.IGNORECASE)
    if _ways(items) <= MOST_WAYS:
        plain = re.compile(pattern, re.IGNORECASE)
        return lambda text: plain.search(text) is not None
    return _Machine(items, items.state.flags & ~re.VERBOSE).finds


def _ways(items: Items) -> float:
    """Ways that `re` could try from one place of a text on; infinite where that depends on the text."""
    return prod(_ways_of(str(op), given) for op, given in items)


def _ways_of(op: str, given: Any) -> float:
    match op:
        case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN" | "AT" | "GROUPREF":
            return 1
        case "BRANCH":
            return sum(_ways(branch) for branch in given[1])
        case "SUBPATTERN":
            return _ways(given[3])
        case "ASSERT" | "ASSERT_NOT":
            return _ways(given[1])
        case _:
            return float("inf")


class _Machine:
    """A pattern as places with arrows between them, all of which are gone along at once."""

    def __init__(self, items: Items, flags: int) -> None:
        self._flags = flags
        self._leaves: dict[int, str] = {}  # places that take a character, and which
        self._characters: dict[str, re.Pattern[str]] = {}
        self._anchored: dict[int, int] = {}  # places that hold at an anchor, by its number
        self._next: dict[int, list[int]] = {0: []}  # place 0 is where the pattern has been found
        self._anchors: list[re.Pattern[str]] = []
        self._start = self._build(items, 0)
        self._closed: dict[tuple[Places, tuple[bool, ...]], Places] = {}
        self._moved: dict[tuple[Places, str], Places] = {}

    def finds(self, text: str) -> bool:
        """Whether the pattern is found somewhere."""
        places = frozenset((self._start,))
        for index in range(len(text) + 1):
            holds = tuple(anchor.match(text, index) is not None for anchor in self._anchors)
            closed = self._closed.get((places, holds)) or self._close(places, holds)
            if 0 in closed:
                return True
            if index < len(text):
                character = text[index]
                places = self._moved.get((closed, character)) or self._move(closed, character)
        return False

    def _close(self, places: Places, holds: tuple[bool, ...]) -> Places:
        """Places that are reached without a character."""
        seen, todo = set[int](), list(places)
        while todo:
            place = todo.pop()
            if place in seen or not (place not in self._anchored or holds[self._anchored[place]]):
                continue
            seen.add(place)
            if place not in self._leaves:
                todo += self._next[place]
        return self._keep(self._closed, (places, holds), seen)

    def _move(self, places: Places, character: str) -> Places:
        """Places that a character leads to, and the start: the pattern may begin anywhere."""
        leaves = [place for place in places if place in self._leaves]
        kinds = {self._leaves[place] for place in leaves}
        taken = {kind for kind in kinds if self._characters[kind].fullmatch(character)}
        found = {self._next[place][0] for place in leaves if self._leaves[place] in taken}
        return self._keep(self._moved, (places, character), found | {self._start})

    def _keep(self, kept: dict[Any, Places], key: Any, found: set[int]) -> Places:
        if len(kept) >= MOST_KEPT:
            kept.clear()
        return kept.setdefault(key, frozenset(found))

    # ---------------------------------------------------------------- building, from the end to the start

    def _build(self, items: Items, then: int) -> int:
        """The place at which `items` begin, `then` being where they lead."""
        for op, given in reversed(list(items)):
            then = self._part(str(op), given, then)
        return then

    def _part(self, op: str, given: Any, then: int) -> int:
        if op in CHARACTERS:
            place, source = self._place(then), _source(op, given)
            self._leaves[place] = source
            self._characters[source] = re.compile(source, self._flags)
            return place
        if op == "AT":
            place = self._place(then)
            self._anchored[place] = len(self._anchors)
            self._anchors.append(re.compile(ANCHORS[str(given)], self._flags))
            return place
        if op == "BRANCH":
            return self._place(*[self._build(branch, then) for branch in given[1]])
        if op == "SUBPATTERN":
            if given[1] or given[2]:
                raise ValueError("flags for a part of it are not supported")
            return self._build(given[3], then)
        if op in REPEATS:
            least, most, body = given
            return self._repeat(least, most, body, then)
        what = UNBOUNDED.get(op, op.lower())
        raise ValueError(f"{what} is not supported beside repetitions: how long it takes could not be bounded")

    def _repeat(self, least: int, most: Any, body: Items, then: int) -> int:
        if most is _parser.MAXREPEAT:
            place = self._place(then)
            self._next[place].insert(0, self._build(body, place))
            then = place
        else:
            end = then
            for _ in range(most - least):
                then = self._place(self._build(body, then), end)
        for _ in range(least):
            before, then = then, self._build(body, then)
            if then == before:  # nothing in it
                break
        return then

    def _place(self, *then: int) -> int:
        place = len(self._next)
        if place > LARGEST:
            raise ValueError(f"it has more than {LARGEST} places, repetitions included")
        self._next[place] = list(then)
        return place


def _source(op: str, given: Any) -> str:
    """The pattern of one character."""
    if op == "ANY":
        return "."
    if op == "IN":
        return f"[{''.join(_member(str(kind), value) for kind, value in given)}]"
    return f"[{'^' if op == 'NOT_LITERAL' else ''}{re.escape(chr(given))}]"


def _member(kind: str, value: Any) -> str:
    if kind == "NEGATE":
        return "^"
    if kind == "RANGE":
        return "-".join(re.escape(chr(end)) for end in value)
    return CATEGORIES[str(value)] if kind == "CATEGORY" else re.escape(chr(value))
