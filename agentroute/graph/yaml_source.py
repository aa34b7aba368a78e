"""YAML read as plain JSON data, with the line and column of every key and value.

What is read is the part of YAML that means the same to every reader and cannot grow: mappings with text keys,
lists, text, numbers, true, false and null. Tags, anchors, aliases and merge keys are refused, and so are
unquoted words that YAML 1.1 and 1.2 read differently (``no``, ``0755``). The parser's events are taken one by
one, so that every limit holds before anything is built, and nothing here recurses.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from agentroute.graph.yaml_positions import ENOUGH, LIMITS, Flaw, Limits, Loc, Place, Positions, Spot, brief, unquoted
from agentroute.graph.yaml_scalars import UNPRINTABLE, plain, unprintable

# libyaml is some ten times faster, where it was built in.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_DIRECTIVE = re.compile(r"(?:\A|[\r\n])%")


def load_yaml(text: str, *, file: str, limits: Limits = LIMITS) -> tuple[Any, Positions]:
    """Read one YAML (or JSON) document as plain data, and where each part of it stands.

    Args:
        text: The whole file.
        file: Its name, for messages; nothing is opened.
        limits: How much it may hold.

    Raises:
        DocumentError: Not YAML, more than one document or none, beyond a limit, a key that is there twice, or
            a feature of YAML that is refused (see the top of this module). All that were found are told.
    """
    builder = _Builder(limits)
    try:
        builder.read(text.removeprefix("\ufeff"))
    except _StopReading:
        pass
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the last two: escapes, without libyaml
        builder.flaws.append(_syntax_flaw(error, text.removeprefix("\ufeff")))
    positions = Positions(file, builder.data, builder.root, limits)
    if builder.flaws:
        raise positions.refuse(builder.flaws)
    return builder.data, positions


class _StopReading(Exception):  # noqa: N818 - not an error: the flaw is on record, the rest cannot be read
    """Ends the reading of a file."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read. `at` is where its next value goes; None awaits a key."""

    data: dict[str, Any] | list[Any]
    spot: Spot
    at: str | int | None


@dataclass(slots=True)
class _Builder:
    """Puts the parser's events together; lives only as long as one file is read."""

    limits: Limits
    data: Any = None
    root: Spot = field(default_factory=lambda: Spot((1, 1)))
    flaws: list[Flaw] = field(default_factory=list[Flaw])
    frames: list[_Frame] = field(default_factory=list[_Frame])
    documents: int = 0
    values: int = 0

    def read(self, text: str) -> None:
        self._check_text(text)
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event)
        if not self.documents:
            self._stop((1, 1), "the file is empty")

    def _check_text(self, text: str) -> None:
        if len(text) > self.limits.size or len(text.encode(errors="replace")) > self.limits.size:
            self._stop((1, 1), f"the file is larger than {self.limits.size:,} bytes")
        if found := UNPRINTABLE.search(text):
            self._stop(_place_of(text, found.start()), unprintable(found[0]))
        # libyaml compares each directive with all before it: a megabyte of them takes ten seconds.
        if found := _DIRECTIVE.search(text):
            place = _place_of(text, found.end() - 1)
            self._stop(place, "directives (%...) are not supported: begin with the first key")

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open({}, event)
            case yaml.SequenceStartEvent():
                self._open([], event)
            case yaml.CollectionEndEvent():
                self.frames.pop()
                self._advance()
            case yaml.AliasEvent():
                self._note(event, "aliases (*...) are not supported: write the value out again")
                self._put(None, event)
                self._advance()
            case yaml.DocumentStartEvent():
                self._document(event)
            case _:  # the ends of stream and document
                pass

    def _document(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self._stop(_place(event), "a second document begins here (---); a file holds one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        """Take a key where the mapping awaits one, else a value."""
        text: str = event.value
        if len(text) > self.limits.text:
            self._note(event, f"a text of {len(text):,} characters; at most {self.limits.text:,} are allowed")
        if event.style == '"' and (found := UNPRINTABLE.search(text)):
            self._note(event, unprintable(found[0]))
        value: Any = text
        try:
            value = text if event.style else plain(text)
        except ValueError as why:
            self._note(event, str(why))
        if self.frames and self.frames[-1].at is None:
            self._key(text, value, event)
        else:
            self._put(value, event)
            self._advance()

    def _key(self, text: str, value: object, event: yaml.ScalarEvent) -> None:
        self._check_properties(event)
        frame = self.frames[-1]
        keys = frame.spot.keys or {}
        if not isinstance(value, str):
            self._note(event, f"a key must be text: put {unquoted(text) or 'it'} in quotes")
        elif text == "<<" and not event.style:
            self._note(event, "merge keys (<<) are not supported: write the keys out")
        elif text in keys:
            self._note(event, f"key {brief(text)} is there twice; the other is on line {keys[text][0]}")
        keys[text] = _place(event)
        frame.spot.keys = keys
        frame.at = text

    def _open(self, container: dict[str, Any] | list[Any], event: yaml.CollectionStartEvent) -> None:
        if self.frames and self.frames[-1].at is None:
            self._stop(_place(event), "a key must be text, not a mapping or a list")
        if len(self.frames) == self.limits.depth:
            self._stop(_place(event), f"nested more than {self.limits.depth} levels deep")
        spot = self._put(container, event)
        spot.parts = {}
        self.frames.append(_Frame(container, spot, 0 if isinstance(container, list) else None))

    def _put(self, value: Any, event: yaml.NodeEvent) -> Spot:
        """Hang a value below the innermost mapping or list."""
        self._check_properties(event)
        self.values += 1
        if self.values > self.limits.values:
            self._stop(_place(event), f"more than {self.limits.values:,} values")
        spot = Spot(_place(event))
        match self.frames:
            case []:
                self.data, self.root = value, spot
            case [*_, _Frame(data=list() as items, spot=Spot(parts=dict() as parts), at=int() as at)]:
                items.append(value)
                parts[at] = spot
            case [*_, _Frame(data=dict() as mapping, spot=Spot(parts=dict() as parts), at=str() as at)]:
                mapping[at] = value
                parts[at] = spot
            case _:
                self._stop(_place(event), "a key must be text, not an alias")
        return spot

    def _advance(self) -> None:
        """Await what comes after the value that is now complete."""
        if self.frames:
            frame = self.frames[-1]
            frame.at = frame.at + 1 if isinstance(frame.at, int) else None

    def _check_properties(self, event: yaml.NodeEvent) -> None:
        if getattr(event, "tag", None):
            self._note(event, "tags (!...) are not supported: leave it out, or put the value in quotes")
        if event.anchor and not isinstance(event, yaml.AliasEvent):
            self._note(event, "anchors (&...) are not supported: write each value out")

    def _loc(self) -> Loc:
        return tuple(frame.at for frame in self.frames if frame.at is not None)

    def _note(self, event: yaml.Event, why: str) -> None:
        self.flaws.append(Flaw(_place(event), self._loc(), why))
        if len(self.flaws) >= ENOUGH:
            raise _StopReading

    def _stop(self, place: Place, why: str) -> None:
        self.flaws.append(Flaw(place, (), why))
        raise _StopReading


def _place(event: yaml.Event) -> Place:
    mark: Any = event.start_mark
    return mark.line + 1, mark.column + 1


def _place_of(text: str, index: int) -> Place:
    before = text[:index]
    return before.count("\n") + 1, index - before.rfind("\n")


_HINTS = {
    "mapping values are not allowed in this context": (
        "a colon is not allowed here: if it belongs to a text, put that in quotes; else check the indentation"
    ),
    "did not find expected '-' indicator": "a list item (-) is expected here; check the indentation",
    "did not find expected key": "a key is expected here; check the indentation",
    "found unexpected ':'": "a ':' between a key and its value must be followed by a blank",
    "block sequence entries are not allowed in this context": "a list (- ...) begins on a line of its own",
    "did not find expected node content": "a value is expected here",
    "could not find expected ':'": "a ':' is expected here; check the indentation and the line before",
}


def _syntax_flaw(error: Exception, text: str) -> Flaw:
    """Say what the parser said, in words that tell what to do."""
    begun: Any = getattr(error, "context_mark", None)
    mark: Any = getattr(error, "problem_mark", None) or begun
    if mark is None:
        return Flaw((1, 1), (), f"not readable as YAML: {brief(str(error))}")
    problem, context = str(getattr(error, "problem", "")), str(getattr(error, "context", None) or "")
    place = (mark.line + 1, mark.column + 1)
    if problem == "found unexpected end of stream" and begun is not None and "quoted" in context:
        return Flaw((begun.line + 1, begun.column + 1), (), "the quote that opens here is never closed")
    if "cannot start any token" in problem:
        return Flaw(place, (), _cannot_begin(text[mark.index : mark.index + 1]))
    why = _HINTS.get(problem, f"not readable as YAML: {problem}")
    if begun is not None and context in {"while parsing a flow sequence", "while parsing a flow mapping"}:
        why += f" (in the {context.rsplit(maxsplit=1)[-1]} that begins on line {begun.line + 1})"
    return Flaw(place, (), why)


def _cannot_begin(character: str) -> str:
    if character == "\t":
        return "a tab cannot indent in YAML: use spaces"
    return f"text cannot begin with {character!r}: put it in quotes"
